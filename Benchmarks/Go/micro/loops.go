// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"sync"
)

// spawnJoin starts a goroutine and waits for its end, one at a time. Of the ways that Go users join (WaitGroup.Go,
// WaitGroup.Add and Done, an unbuffered channel, a channel made and closed each time, a channel of capacity 1) the last
// one is the fastest, with one processor and with two, so it stands for Go here.
func spawnJoin() {
	measure("spawn-join", 1000, func(iterations int) {
		done := make(chan struct{}, 1)
		for range iterations {
			go func() { done <- struct{}{} }()
			<-done
		}
	})
}

// yield is one goroutine that yields with nothing else to run: what a call of runtime.Gosched costs.
func yield() {
	measure("yield", 1000, func(iterations int) {
		for range iterations {
			runtime.Gosched()
		}
	})
}

// yieldSwitch is two goroutines for each processor that yield, so that every yield has somebody to switch to.
func yieldSwitch() {
	goroutines := 2 * runtime.GOMAXPROCS(0)
	measure("yield-switch", 1000, func(iterations int) {
		var group sync.WaitGroup
		for range goroutines {
			group.Go(func() {
				for range iterations / goroutines {
					runtime.Gosched()
				}
			})
		}
		group.Wait()
	})
}

// pingPong sends a value there and another one back over two unbuffered channels; an operation is one round trip.
func pingPong() {
	measure("ping-pong", 1000, func(iterations int) {
		there, back := make(chan int), make(chan int)
		go func() {
			for value := range there {
				back <- value
			}
			close(back)
		}()
		for index := range iterations {
			there <- index
			<-back
		}
		close(there)
		<-back
	})
}

// buffered moves elements from one producer to one consumer; an operation is one element.
func buffered() {
	measure("buffered", 1000, func(iterations int) {
		channel := make(chan int, 128)
		go func() {
			for index := range iterations {
				channel <- index
			}
			close(channel)
		}()
		sum := 0
		for value := range channel {
			sum += value
		}
		if sum != iterations*(iterations-1)/2 {
			panic("buffered: elements were lost")
		}
	})
}
