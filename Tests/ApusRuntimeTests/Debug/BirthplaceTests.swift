// SPDX-License-Identifier: Apache-2.0
//
// Goroutines say what they are called and where they were started, also to those who ask while records change hands.

import Testing

@testable import ApusRuntime

@Suite("Birthplace")
struct BirthplaceTests {
    private static func birthplace(of goroutine: Goroutine) -> Birthplace? {
        let reference = goroutine.reference
        return reference.readWhileAlive(id: goroutine.id) { reference.record.birth.birthplace }
    }

    @Test("A name stays until the goroutine ends")
    func name() {
        let gate = Channel<Int>()
        let named = go(name: "worker") { _ = gate.receive() }
        #expect(named.name == "worker")
        gate.close()
        named.join()
        #expect(named.name == nil)
    }

    @Test("Handles and groups name their goroutines, too")
    func others() {
        let handle = go(name: "answer") { Goroutine.current?.name }
        #expect(handle.join() == "answer")
        let group = WaitGroup()
        group.go(name: "member") { #expect(Goroutine.current?.name == "member") }
        group.go { #expect(Goroutine.current?.name == nil) }
        group.wait()
        #expect(go(name: "deep", stackSize: 1 << 20) { Goroutine.current?.name }.join() == "deep")
    }

    @Test(
        "Long names are cut between two characters",
        arguments: [
            ("", nil),
            ("12345678901234567890123456789012", "12345678901234567890123456789012"),
            ("123456789012345678901234567890123", "12345678901234567890123456789012"),
            ("1234567890123456789012345678901ä", "1234567890123456789012345678901"),
            ("123456789012345678901234567890ä", "123456789012345678901234567890ä"),
            ("👩‍👩‍👧‍👦👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"),
        ] as [(String, String?)])
    func cutting(name: String, kept: String?) {
        #expect(go(name: name) { Goroutine.current!.name }.join() == kept)
    }

    @Test("Where it was started is the place of the call")
    func place() throws {
        let gate = Channel<Int>()
        defer { gate.close() }
        let plain = go { _ = gate.receive() }
        let line = #line - 1
        let handle = go { gate.receive() ?? 0 }
        let given = go(fileID: "Some/Where.swift", line: 4_000_000) { _ = gate.receive() }
        let birthplaces = try [plain, handle.goroutine, given].map { try #require(Self.birthplace(of: $0)) }
        #expect(birthplaces[0].fileName == #fileID)
        #expect(birthplaces[0].line == line)
        #expect(birthplaces[1].line == line + 2)
        #expect(birthplaces[2].fileName == "Some/Where.swift")
        #expect(birthplaces[2].line == 4_000_000)
    }

    /// Records pass from one goroutine to the next all the time: a name that is read belongs to the one that was asked.
    @Test("A name is never another goroutine's")
    func changingHands() {
        let readers = WaitGroup()
        let lists = (0..<4).map { _ in Channel<(Goroutine, Int)>(capacity: 16) }
        for list in lists {
            readers.go {
                for (goroutine, number) in list {
                    let name = goroutine.name
                    #expect(name == nil || name == "number \(number) \(number)")
                }
            }
        }
        for number in 0..<20_000 {
            let goroutine = go(name: "number \(number) \(number)") { Goroutine.yield() }
            try? lists[number % 4].send((goroutine, number))
        }
        for list in lists { list.close() }
        readers.wait()
    }
}
