// SPDX-License-Identifier: Apache-2.0
//
// Power series as Doug McIlroy describes them in "Squinting at Power Series" (Software: Practice and Experience, 1990):
// a series is a goroutine that sends one coefficient after the other, each when it is asked for one. Operations are
// goroutines that ask others. Go's test/chan/powser1.go calculates so, too; this program is written after the paper, and
// ../../Go/micro/series.go is its twin.
//
// Unlike there, everything ends: who does not want any more closes the channel it asked on, and who is asked by nobody
// closes those on which it asked itself.

import Apus

/// A channel for requests and one for the answers. It has one reader.
struct Series: Sendable {
    let request = Channel<Void>(capacity: 0)
    let term = Channel<Rational>(capacity: 0)

    /// A series of what a goroutine supplies.
    static func produce(_ supply: @escaping @Sendable (_ out: Series) -> Void) -> Series {
        let out = Series()
        go { supply(out) }
        return out
    }

    // MARK: The reader's side

    func get() -> Rational {
        try! request.send(())
        return term.receive()!
    }

    func stop() {
        request.close()
    }

    /// Asks two series at once: which of them can answer first is unknown, when both depend on a third.
    static func getBoth(_ left: Series, _ right: Series) -> (Rational, Rational) {
        var a: Rational?
        var b: Rational?
        var asksLeft = true
        var asksRight = true
        for _ in 0..<4 {
            select {
                if asksLeft {
                    left.request.onSend(()) { asksLeft = false }
                } else if a == nil {
                    left.term.onReceive { a = $0 }
                }
                if asksRight {
                    right.request.onSend(()) { asksRight = false }
                } else if b == nil {
                    right.term.onReceive { b = $0 }
                }
            }
        }
        return (a!, b!)
    }

    // MARK: The supplier's side

    /// Waits for the next request; false when there will be none.
    func isAsked() -> Bool { request.receive() != nil }

    func answer(_ term: Rational) {
        try! self.term.send(term)
    }

    func put(_ term: Rational) -> Bool {
        guard isAsked() else { return false }
        answer(term)
        return true
    }

    /// Answers every request with the next term of another series, and stops that one at the end.
    func putAll(_ source: Series) {
        while isAsked() { answer(source.get()) }
        source.stop()
    }

    /// Answers every request with the end mark.
    func finish() {
        while put(.endMark) {}
    }

    // MARK: Splitting

    /// Two series of one, which may be read at different speeds.
    static func split(_ source: Series) -> (Series, Series) {
        let first = Series()
        let second = Series()
        let turn = Channel<Void>(capacity: 0)
        turn.close()
        go { passOn(source, ahead: first, behind: second, turn: turn, isLoop: false) }
        return (first, second)
    }

    /// A series that depends on itself: `body` gets a copy of what it returns. It ends when the other copy is stopped.
    static func loop(_ body: (Series) -> Series) -> Series {
        let result = Series()
        let feedback = Series()
        let source = body(feedback)
        let turn = Channel<Void>(capacity: 0)
        turn.close()
        go { passOn(source, ahead: result, behind: feedback, turn: turn, isLoop: true) }
        return result
    }

    /// Fetches one term at its first request, sends it to both readers and ends; before that it starts its successor for
    /// the term that follows. So for every term that one reader has and the other one has not, there is a goroutine that
    /// holds it. The youngest serves the reader that is ahead, and the oldest, whose turn it is, the one behind.
    private static func passOn(
        _ source: Series, ahead: Series, behind: Series, turn: Channel<Void>, isLoop: Bool
    ) {
        var (ahead, behind) = (ahead, behind)
        var isMyTurn = false
        var isAsked = false
        select {
            ahead.request.onReceive { isAsked = $0 != nil }
            turn.onReceive { _ in isMyTurn = true }
        }
        if isMyTurn {
            select {
                ahead.request.onReceive { isAsked = $0 != nil }
                behind.request.onReceive {
                    isAsked = $0 != nil
                    swap(&ahead, &behind)
                }
            }
        }
        guard isAsked else {
            if isLoop { return source.stop() }
            if !isMyTurn { _ = turn.receive() }
            return behind.putAll(source)
        }

        let term = source.get()
        let next = Channel<Void>(capacity: 0)
        let (nextAhead, nextBehind) = (ahead, behind)
        go { passOn(source, ahead: nextAhead, behind: nextBehind, turn: next, isLoop: isLoop) }
        ahead.answer(term)
        if !isMyTurn { _ = turn.receive() }
        _ = behind.put(term)
        next.close()
    }
}
