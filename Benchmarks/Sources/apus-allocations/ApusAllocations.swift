// SPDX-License-Identifier: Apache-2.0

// What one operation of each kind allocates: the calls of malloc and its kin for 2N operations, less those for N, over
// N. So what only the first ones need (a goroutine's stack, a ring that grows) does not count, and what each one needs
// does. One line of JSON for all of them; `Operations.swift` has the operations.

import Apus
import CAllocationCount

@main
struct ApusAllocations {
    static func main() {
        let count = 20_000
        // Measured where users' code runs, on a goroutine.
        go {
            // An operation that allocates for certain, to see that calls are counted at all.
            precondition(
                allocations(count, allocateObject) >= 1, "apus-allocations: calls of malloc cannot be counted here")
            var line = "{\"name\":\"allocations\",\"operations\":\(count)"
            for (name, operation) in operations {
                line += ",\"\(name)\":\((allocations(count, operation) * 1000).rounded() / 1000)"
            }
            print(line + "}")
        }.join()
    }

    /// Runs the operation, which repeats itself as often as it is told, and returns what each time allocated.
    private static func allocations(_ count: Int, _ operation: (Int) -> Void) -> Double {
        operation(count)
        func calls(_ count: Int) -> Int {
            let before = allocation_count()
            operation(count)
            return allocation_count() - before
        }
        // The median of several: the runtime may start a thread meanwhile.
        let differences = (0..<5).map { _ in
            let once = calls(count)
            return calls(2 * count) - once
        }
        return Double(differences.sorted()[2]) / Double(count)
    }
}
