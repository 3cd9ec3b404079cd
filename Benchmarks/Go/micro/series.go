// SPDX-License-Identifier: Apache-2.0

package main

// Power series as Doug McIlroy describes them in "Squinting at Power Series" (Software: Practice and Experience, 1990):
// a series is a goroutine that sends one coefficient after the other, each when it is asked for one. Operations are
// goroutines that ask others. Go's test/chan/powser1.go calculates so, too; this program is written after the paper.
//
// Unlike there, everything ends: who does not want any more closes the channel it asked on, and who is asked by nobody
// closes those on which it asked itself.

// series is a channel for requests and one for the answers. It has one reader.
type series struct {
	request chan struct{}
	term    chan rational
}

func newSeries() series {
	return series{make(chan struct{}), make(chan rational)}
}

// produce makes a series of what a goroutine supplies.
func produce(supply func(out series)) series {
	out := newSeries()
	go supply(out)
	return out
}

// The reader's side.

func (s series) get() rational {
	s.request <- struct{}{}
	return <-s.term
}

func (s series) stop() {
	close(s.request)
}

// getBoth asks two series at once: which of them can answer first is unknown, when both depend on a third.
func getBoth(left, right series) (a, b rational) {
	askLeft, askRight := left.request, right.request
	var fromLeft, fromRight chan rational
	for range 4 {
		select {
		case askLeft <- struct{}{}:
			askLeft, fromLeft = nil, left.term
		case askRight <- struct{}{}:
			askRight, fromRight = nil, right.term
		case a = <-fromLeft:
			fromLeft = nil
		case b = <-fromRight:
			fromRight = nil
		}
	}
	return a, b
}

// The supplier's side.

// isAsked waits for the next request; false when there will be none.
func (s series) isAsked() bool {
	_, open := <-s.request
	return open
}

func (s series) put(term rational) bool {
	if !s.isAsked() {
		return false
	}
	s.term <- term
	return true
}

// putAll answers every request with the next term of another series, and stops that one at the end.
func (s series) putAll(source series) {
	for s.isAsked() {
		s.term <- source.get()
	}
	source.stop()
}

// finish answers every request with the end mark.
func (s series) finish() {
	for s.put(endMark) {
	}
}

// Splitting.

// split makes two series of one, which may be read at different speeds.
func split(source series) (series, series) {
	first, second := newSeries(), newSeries()
	turn := make(chan struct{})
	close(turn)
	go passOn(source, first, second, turn, false)
	return first, second
}

// loop makes a series that depends on itself: `body` gets a copy of what it returns. It ends when the other copy is
// stopped.
func loop(body func(series) series) series {
	result, feedback := newSeries(), newSeries()
	turn := make(chan struct{})
	close(turn)
	go passOn(body(feedback), result, feedback, turn, true)
	return result
}

// passOn fetches one term at its first request, sends it to both readers and ends; before that it starts its successor
// for the term that follows. So for every term that one reader has and the other one has not, there is a goroutine that
// holds it. The youngest serves the reader that is ahead, and the oldest, whose turn it is, the one behind.
func passOn(source, ahead, behind series, turn chan struct{}, isLoop bool) {
	isMyTurn, isAsked := false, false
	select {
	case _, isAsked = <-ahead.request:
	case <-turn:
		isMyTurn = true
		select {
		case _, isAsked = <-ahead.request:
		case _, isAsked = <-behind.request:
			ahead, behind = behind, ahead
		}
	}
	if !isAsked {
		if isLoop {
			source.stop()
			return
		}
		if !isMyTurn {
			<-turn
		}
		behind.putAll(source)
		return
	}

	term := source.get()
	next := make(chan struct{})
	go passOn(source, ahead, behind, next, isLoop)
	ahead.term <- term
	if !isMyTurn {
		<-turn
	}
	behind.put(term)
	close(next)
}
