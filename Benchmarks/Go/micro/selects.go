// SPDX-License-Identifier: Apache-2.0

package main

// selectReady receives from one of two channels that both hold an element, and puts it back; an operation is one select
// and one send.
func selectReady() {
	measure("select-ready", 1000, func(iterations int) {
		a, b := make(chan int, 1), make(chan int, 1)
		a <- 1
		b <- 1
		sum := 0
		for range iterations {
			select {
			case value := <-a:
				sum += value
				a <- value
			case value := <-b:
				sum += value
				b <- value
			}
		}
		check(sum == iterations, "select-ready: elements were lost")
	})
}

// selectDefault is a select over two channels that hold nothing, with a default.
func selectDefault() {
	measure("select-default", 1000, func(iterations int) {
		a, b := make(chan int, 1), make(chan int, 1)
		count := 0
		for range iterations {
			select {
			case <-a:
			case <-b:
			default:
				count++
			}
		}
		check(count == iterations, "select-default: something was received")
	})
}

// selectWait is one goroutine that sends over two unbuffered channels in turn, and one that waits for either; an
// operation is one element.
func selectWait() {
	measure("select-wait", 1000, func(iterations int) {
		a, b := make(chan int), make(chan int)
		go func() {
			for index := range iterations {
				if index%2 == 0 {
					a <- 1
				} else {
					b <- 1
				}
			}
		}()
		sum := 0
		for range iterations {
			select {
			case value := <-a:
				sum += value
			case value := <-b:
				sum += value
			}
		}
		check(sum == iterations, "select-wait: elements were lost")
	})
}
