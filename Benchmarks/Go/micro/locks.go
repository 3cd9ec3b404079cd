// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"sync"
)

// mutexContended is four goroutines for each processor that count under one mutex; an operation is one lock and unlock.
func mutexContended() {
	goroutines := 4 * runtime.GOMAXPROCS(0)
	measure("mutex-contended", 1000, func(iterations int) {
		var mutex sync.Mutex
		count := 0
		together(goroutines, func() {
			for range iterations / goroutines {
				mutex.Lock()
				count++
				mutex.Unlock()
			}
		})
		check(count == iterations/goroutines*goroutines, "mutex-contended: counts were lost")
	})
}

// mutexHandover is the same with a holder that yields before it unlocks, so that all others queue up, and every unlock
// has somebody to wake.
func mutexHandover() {
	goroutines := 4 * runtime.GOMAXPROCS(0)
	measure("mutex-handover", 1000, func(iterations int) {
		var mutex sync.Mutex
		count := 0
		together(goroutines, func() {
			for range iterations / goroutines {
				mutex.Lock()
				count++
				runtime.Gosched()
				mutex.Unlock()
			}
		})
		check(count == iterations/goroutines*goroutines, "mutex-handover: counts were lost")
	})
}

// rwMutexRead is one goroutine that reads under a read-write mutex nobody else uses.
func rwMutexRead() {
	measure("rwmutex-read", 1000, func(iterations int) {
		var mutex sync.RWMutex
		value, sum := 1, 0
		for range iterations {
			mutex.RLock()
			sum += value
			mutex.RUnlock()
		}
		check(sum == iterations, "rwmutex-read: wrong sum")
	})
}

// rwMutexReaders is one such reader for each processor, all with the same mutex.
func rwMutexReaders() {
	goroutines := runtime.GOMAXPROCS(0)
	measure("rwmutex-readers", 1000, func(iterations int) {
		var mutex sync.RWMutex
		value := 1
		together(goroutines, func() {
			sum := 0
			for range iterations / goroutines {
				mutex.RLock()
				sum += value
				mutex.RUnlock()
			}
			check(sum == iterations/goroutines, "rwmutex-readers: wrong sum")
		})
	})
}

// together runs a function in so many goroutines and waits for all.
func together(goroutines int, body func()) {
	var group sync.WaitGroup
	for range goroutines {
		group.Go(body)
	}
	group.Wait()
}

func check(condition bool, message string) {
	if !condition {
		panic(message)
	}
}
