// SPDX-License-Identifier: Apache-2.0

import Apus

/// Counts the primes below 8,000 with a chain of goroutines, one for each prime, which passes on what its prime does not
/// divide; an operation is the whole of it, some 525,000 elements.
func measureSieve(seconds: Double) {
    let limit = 8000
    let primes = 1007
    measure("sieve", startingWith: 1, seconds: seconds) { iterations in
        for _ in 0..<iterations {
            precondition(countPrimes(below: limit) == primes, "sieve: wrong number of primes")
        }
    }
}

private func countPrimes(below limit: Int) -> Int {
    let all = Channel<Int>(capacity: 0)
    go {
        for number in 2..<limit {
            try! all.send(number)
        }
        all.close()
    }
    var numbers = all
    var count = 0
    while let prime = numbers.receive() {
        count += 1
        let source = numbers
        let filtered = Channel<Int>(capacity: 0)
        go {
            while let number = source.receive() {
                if number % prime != 0 {
                    try! filtered.send(number)
                }
            }
            filtered.close()
        }
        numbers = filtered
    }
    return count
}
