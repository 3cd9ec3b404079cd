// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("withStack")
struct LargeStackTests {
    @Test("A goroutine with more stack", arguments: workerCounts)
    func stackSize(workers: Int) throws {
        try expectScenario("stack-size", workers: workers, debug: "migrate=1")
    }

    @Test(
        "Recursion is bounded by memory: a hundred megabytes",
        .notUnderThreadSanitizer("it records the whole stack at each allocation: deep ones take minutes"))
    func recursion() throws {
        try expectScenario("with-stack-recursion", workers: 2)
        try expectScenario("with-stack-recursion", count: 20, workers: 2, debug: "guard=protect")
    }

    @Test("Values and errors, nested and in blocking calls", arguments: workerCounts)
    func results(workers: Int) throws {
        try expectScenario("with-stack-results", workers: workers)
    }

    @Test("Parking on a large stack and resuming elsewhere", arguments: workerCounts, ["migrate=1"])
    func migration(workers: Int, debug: String) throws {
        try expectScenario("with-stack-migration", workers: workers, debug: debug)
    }

    @Test("On plain threads")
    func plainThreads() throws {
        try expectScenario("with-stack-plain-thread", workers: 2)
    }

    @Test("The example of its documentation")
    func example() {
        final class Node: Sendable {
            let children: [Node]
            init(_ children: [Node]) { self.children = children }
        }
        func depth(of node: Node) -> Int {
            withStack(atLeast: 64 * 1024) {
                1 + (node.children.map(depth(of:)).max() ?? 0)
            }
        }
        let tree = Node([Node([]), Node([Node([Node([])])])])
        #expect(depth(of: tree) == 4)
        #expect(go { depth(of: tree) }.join() == 4)
    }
}
