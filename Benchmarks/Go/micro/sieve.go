// SPDX-License-Identifier: Apache-2.0

package main

// primeSieve counts the primes below 8,000 with a chain of goroutines, one for each prime, which passes on what its
// prime does not divide; an operation is the whole of it, some 525,000 elements.
func primeSieve() {
	const limit, primes = 8000, 1007
	measure("sieve", 1, func(iterations int) {
		for range iterations {
			check(countPrimes(limit) == primes, "sieve: wrong number of primes")
		}
	})
}

func countPrimes(limit int) (count int) {
	all := make(chan int)
	go func() {
		for number := 2; number < limit; number++ {
			all <- number
		}
		close(all)
	}()
	for numbers := all; ; {
		prime, open := <-numbers
		if !open {
			return count
		}
		count++
		source, filtered := numbers, make(chan int)
		go func() {
			for number := range source {
				if number%prime != 0 {
					filtered <- number
				}
			}
			close(filtered)
		}()
		numbers = filtered
	}
}
