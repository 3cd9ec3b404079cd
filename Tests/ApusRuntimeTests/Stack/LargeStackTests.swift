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

    @Test(
        "Mistakes",
        arguments: [
            ("stack-negative", "apus: go(stackSize: -1): a number of bytes is zero or more\n"),
            ("with-stack-negative", "apus: withStack(atLeast: -1): a number of bytes is zero or more\n"),
            (
                "stack-too-large",
                "apus: a stack of 9223372036854775807 bytes is more than any machine has; ask for less\n"
            ),
            (
                "with-stack-too-large",
                "apus: a stack of 4611686018427387903 bytes is more than any machine has; ask for less\n"
            ),
        ])
    func misuse(scenario: String, message: String) throws {
        try ChildProgram(scenario).run().expectEnd(.killed(signal: 6), errors: message)
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
