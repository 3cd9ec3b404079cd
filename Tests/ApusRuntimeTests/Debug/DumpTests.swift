// SPDX-License-Identifier: Apache-2.0
//
// A dump names every goroutine, what it waits for and where; SIGQUIT writes one and harms nobody.

import CApus
import Glibc
import Testing

@testable import ApusRuntime

@Suite("Dump")
struct DumpTests {
    /// The block of lines that begins with a goroutine of this name.
    private static func block(_ name: String, in text: String) -> [Substring] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(where: { $0.contains("\"\(name)\"") && !$0.hasPrefix(" ") }) else {
            return []
        }
        let end = lines[start...].firstIndex(of: "") ?? lines.endIndex
        return Array(lines[start..<end])
    }

    @Test("Every state, and where each stands", arguments: [2, 8])
    func states(workers: Int) throws {
        let result = try ChildProgram("dump-states", workers: workers).run()
        result.expectSuccess()
        let expected: [(name: String, state: String, function: String)] = [
            ("receiver", "channel receive", "waitsToReceive(_:) at "),
            ("sender", "channel send", "waitsToSend(_:)"),
            ("sleeper", "sleep", "waitsAsleep() at "),
            ("locks", "channel receive", "waitsToReceive(_:) at "),
            ("waits to lock", "mutex", "dumpStates(_:)"),
            ("reads", "read from the network", "PolledSocket.receive(_:deadline:) at "),
            ("blocks", "blocking call", "dumpStates(_:)"),
            ("blocks and waits", "blocking call: channel receive", "waitsToReceive(_:) at "),
            ("deep", "channel receive", "withStack<A, B>(atLeast:_:)"),
            ("one of three", "channel receive", "waitsToReceive(_:) at "),
            ("dumps", "running", "dump(containing:)"),
            ("joiner", "join", ""),
            ("waits for a group", "wait group", ""),
            ("computes", "running", ""),
        ]
        for (name, state, function) in expected {
            let block = Self.block(name, in: result.output)
            let text = block.joined(separator: "\n")
            #expect(block.first?.contains("[\(state)") == true, "\(name): \(result.testDescription)")
            #expect(text.contains(function), "\(name): \(result.testDescription)")
            #expect(block.last?.hasPrefix("    started at apus_test_programs/DumpPrograms.swift:") == true, "\(text)")
            // What the runtime does to park is of no interest, nor how it starts goroutines.
            #expect(!text.contains("apus_context_"), "\(text)")
            #expect(!text.contains("goroutineEntry"), "\(text)")
        }
        // Whoever recurses on a larger stack is followed across the step, and each level is there.
        let deep = Self.block("deep", in: result.output)
        #expect(deep.count { $0.contains("waitsDeepDown(_:_:) at ") } == 6, "\(result.testDescription)")
        // Waiting threads, too; the main one joins.
        let main = Self.block("main", in: result.output)
        #expect(main.first?.contains("thread ") == true && main.first?.contains("[join") == true, "\(main)")
        #expect(main.contains { $0.contains("dumpStates(_:) at ") }, "\(main)")
        #expect(result.output.contains("3 goroutines [channel receive"), "\(result.testDescription)")
    }

    #if os(Linux)
    @Test("Memory is read where process_vm_readv is not to be had", arguments: [8, 4096, 10_000])
    func memoryThroughAPipe(bytes: Int) throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let size = (bytes + page - 1) / page * page
        // Its last page may not be read.
        let memory = unsafe mmap(nil, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        defer { unsafe munmap(memory, size + page) }
        #expect(unsafe mprotect(memory + size, page, PROT_NONE) == 0)
        let place = UInt(bitPattern: memory) + UInt(size - bytes)
        let content = (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        unsafe (memory + (size - bytes)).copyMemory(from: content, byteCount: bytes)
        var copy = [UInt8](repeating: 0, count: bytes)
        #expect(unsafe apus_memory_copy_through_pipe(&copy, place, bytes) == 0)
        #expect(copy == content)
        #expect(unsafe apus_memory_copy_through_pipe(&copy, place + 1, bytes) == -EFAULT)
        #expect(unsafe apus_memory_copy_through_pipe(&copy, place + UInt(bytes), bytes) == -EFAULT)
        #expect(unsafe apus_memory_copy_through_pipe(&copy, 0, bytes) == -EFAULT)
    }
    #endif

    @Test("Very many are described once, and no more than a hundred groups")
    func many() throws {
        let result = try ChildProgram("dump-many", workers: 2).run()
        result.expectSuccess()
        #expect(result.output.contains("\n20,000 goroutines [channel receive"), "\(result.testDescription)")
        #expect(result.output.contains(" and 19,992 more\n"), "\(result.testDescription)")
        #expect(result.output.contains("\"single\" [sleep"), "\(result.testDescription)")
        #expect(result.output.split(separator: "\n").count < 1000)
        #expect(result.output.contains(#/and 5\d goroutines more in 5\d other groups\n/#), "\(result.testDescription)")
    }

    @Test(
        "Whoever is looked at goes on meanwhile", arguments: workerCounts, ["", "migrate=1,queue=4", "guard=protect"])
    func storm(workers: Int, debug: String) throws {
        try expectScenario("dump-storm", workers: workers, debug: debug)
    }

    @Test("A dump leaves no file open")
    func files() throws {
        try expectScenario("dump-files", workers: 2)
    }

    // MARK: The signal

    @Test("SIGQUIT writes a dump and the program goes on", arguments: workerCounts, ["", "rounds=1"])
    func quitSignal(workers: Int, debug: String) throws {
        try expectScenario("quit-signal", workers: workers, debug: debug)
        try expectScenario("quit-signal-at-once", workers: workers, debug: debug)
    }

    @Test("A program's own handler stays")
    func quitSignalTaken() throws {
        let result = try ChildProgram("quit-signal-taken", workers: 2).run()
        result.expectSuccess()
        #expect(result.errors == "the program's own handler\n", "\(result.testDescription)")
    }

    @Test("Unless the signal is to be taken from it")
    func quitSignalTakenFromOthers() throws {
        let result = try ChildProgram("quit-signal-taken", workers: 2, debug: "sigquit=take").run()
        result.expectSuccess()
        #expect(!result.errors.contains("the program's own handler"), "\(result.testDescription)")
    }

    @Test("The signal is left alone where that is asked for")
    func quitSignalOff() throws {
        let result = try ChildProgram("quit-signal-ends", workers: 2, debug: "sigquit=off").run()
        #expect(result.end == .killed(signal: 3), "\(result.testDescription)")
    }

    // MARK: Text

    @Test(
        "Times",
        arguments: [
            (0, "0.0 s"), (99_999_999, "0.0 s"), (1_250_000_000, "1.2 s"), (10_000_000_000, "10 s"),
            (119_999_999_999, "119 s"), (120_000_000_000, "2 min"), (7_199_000_000_000, "119 min"),
            (7_200_000_000_000, "2 h"),
        ] as [(Int64, String)])
    func durations(nanoseconds: Int64, text: String) {
        #expect(Dump.duration(nanoseconds) == text)
    }

    @Test(
        "Numbers",
        arguments: [
            (1, "1 goroutine"), (999, "999 goroutines"), (1000, "1,000 goroutines"),
            (1_234_567, "1,234,567 goroutines"),
        ])
    func counts(number: Int, text: String) {
        #expect(Dump.count(number, "goroutine") == text)
    }

    @Test("Of the runtime's own frames the one remains that was called")
    func visibleFrames() {
        func frame(_ function: String, _ symbol: String, forwards: Bool = false) -> Frame {
            Frame(address: 1, symbol: symbol, function: function, isForwarder: forwards, path: "x", line: 1)
        }
        let frames = [
            frame("suspend", "$s11ApusRuntime1a"), frame("withUnsafe", "$ss1b"), frame("receive", "$s11ApusRuntime1c"),
            frame("work", "$s4Main1d"), frame("map", "$ss1e"), frame("each", "$s4Main1f"),
            frame("each", "$s4Main1g", forwards: true), frame("thunk for x", "$s4Main1h"),
            frame("each", "$s4Main1f"), frame("runBody", "$s11ApusRuntime7runBody"),
            frame("apus_goroutine_start", "apus_goroutine_start"),
        ]
        #expect(Dump.visible(frames).map(\.function) == ["receive", "work", "map", "each", "each"])
        // One that does nothing but wait.
        #expect(Dump.visible(Array(frames[..<3] + frames[9...])).map(\.function) == ["receive"])
        #expect(Dump.visible([frames[10]]).isEmpty)
        #expect(Dump.visible([]).isEmpty)
    }
}
