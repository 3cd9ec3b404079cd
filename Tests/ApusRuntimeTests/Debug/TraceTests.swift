// SPDX-License-Identifier: Apache-2.0
//
// Traces of child programs: what is true of all of them (TraceReading.swift), and what must be in this one.

import Foundation
import Testing

@testable import ApusRuntime

@Suite("Trace")
struct TraceTests {
    /// Runs a scenario with a trace, and calls a function with its path.
    private func withTrace(
        _ program: ChildProgram, _ body: (ChildResult, String) throws -> Void
    ) throws {
        let path = NSTemporaryDirectory() + "apus-trace-\(UInt64.random(in: 0 ... .max)).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        var program = program
        program.trace = path
        try body(try program.run(), path)
    }

    @Test(
        "Everything is there, and nothing contradicts itself", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func everything(workers: Int, debug: String) throws {
        try withTrace(ChildProgram("trace-everything", workers: workers, debug: debug)) { result, path in
            result.expectSuccess()
            #expect(result.errors == "")
            let trace = try TraceContents(path: path)
            #expect(trace.complaints == [])
            let reasons = Set(trace.slices.compactMap { $0.arguments["reason"] as? String })
            #expect(
                reasons.isSuperset(of: [
                    "channel send", "channel receive", "join", "sleep", "mutex", "wait group",
                    "read from the network",
                ]),
                "\(reasons)")
            let ends = Dictionary(grouping: trace.slices.filter { $0.category == "goroutine" }, by: { $0.then ?? "" })
            #expect(Set(ends.keys) == ["parks", "yields", "ends", "blocks", "is still running"])
            // One waits at a channel that nobody closes, and one computes. Others may be on their last step: one on each
            // worker, of which there is one more by now, that stands in for the one whose goroutine computes.
            let running = ends["is still running"]?.count ?? 0
            #expect((1...workers + 1).contains(running))
            #expect((ends["ends"]?.count ?? 0) + running == trace.creations.count - 1)
            let categories = Set(trace.slices.map(\.category))
            #expect(categories.isSuperset(of: ["goroutine", "blocking", "poller", "timers", "wake"]))
            #expect(trace.slices.count { $0.category == "blocking" } == 40)
            #expect(Set(trace.arrows.map(\.name)) == ["start", "wake"])
            // Whoever ran was started by somebody, and that is shown.
            #expect(trace.arrows.count { $0.name == "start" } == trace.creations.count)
        }
    }

    @Test("Arrows lead from what a thread, the poller and timers do", arguments: workerCounts)
    func arrows(workers: Int) throws {
        try withTrace(ChildProgram("trace-everything", workers: workers)) { result, path in
            result.expectSuccess()
            let trace = try TraceContents(path: path)
            func wakes(_ category: String) -> Int {
                trace.slices.count { slice in
                    slice.category == category
                        && trace.arrows.contains {
                            $0.fromTrack == slice.track && slice.start <= $0.from && $0.from <= slice.end
                        }
                }
            }
            for category in ["goroutine", "blocking", "timers", "poller", "wake"] {
                #expect(wakes(category) > 0, "\(category)")
            }
        }
    }

    @Test("More than the buffers hold", arguments: workerCounts)
    func much(workers: Int) throws {
        try withTrace(ChildProgram("trace-much", workers: workers)) { result, path in
            result.expectSuccess()
            let trace = try TraceContents(path: path)
            #expect(trace.complaints == [])
            #expect(trace.slices.count { $0.then == "yields" } == 20_000)
            #expect(trace.slices.contains { $0.category == "trace" })
        }
    }

    @Test("The process calls exit on a goroutine")
    func exit() throws {
        try withTrace(ChildProgram("trace-exit", workers: 2)) { result, path in
            #expect(result.end == .exited(7))
            let trace = try TraceContents(path: path)
            #expect(trace.complaints == [])
            #expect(trace.slices.count { $0.then == "is still running" } == 1)
        }
    }

    @Test("The process breaks a rule of the API")
    func failure() throws {
        try withTrace(ChildProgram("joins-itself", workers: 2)) { result, path in
            result.expectEnd(.killed(signal: 6), errors: "apus: a goroutine joins itself")
            let complaints = try TraceContents(path: path).complaints
            #expect(complaints == [])
        }
    }

    @Test("The process is killed: what came before is there, and what ran", arguments: [SIGKILL, SIGTERM, SIGINT])
    func killed(signal: Int32) throws {
        try withTrace(ChildProgram("trace-killed", count: Int(signal), workers: 2)) { result, path in
            #expect(result.end == .killed(signal: signal))
            let trace = try TraceContents(path: path, isCut: true)
            #expect(trace.complaints == [])
            #expect(trace.slices.count { $0.then == "ends" } == 100)
            #expect(trace.slices.contains { $0.category == "goroutine" && $0.end == .max })
        }
    }

    @Test(
        "A file that cannot be written is no reason to stop",
        arguments: [
            ("/nonexistent/trace.json", "cannot write a trace to /nonexistent/trace.json: No such file or directory"),
            ("/dev/full", "cannot write to the trace /dev/full: No space left on device"),
        ])
    func unwritable(path: String, sentence: String) throws {
        let result = try ChildProgram("trace-everything", workers: 2, trace: path).run()
        result.expectSuccess()
        #expect(result.errors.hasPrefix("apus: \(sentence)"))
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
    }

    @Test("A trace that becomes too large ends, and can be read")
    func limit() throws {
        try withTrace(ChildProgram("trace-much", count: 100_000, workers: 2, debug: "tracelimit=1")) { result, path in
            result.expectSuccess()
            #expect(result.errors.hasPrefix("apus: the trace \(path) has become too large and ends here"))
            #expect(result.errors.split(separator: "\n").count == 1)
            let trace = try TraceContents(path: path, isCut: false)
            #expect(trace.slices.count > 1000)
            let size = try #require(
                try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
            #expect(size >= 1 << 20 && size < 2 << 20)
        }
    }

    @Test("A trace ends after an event where no more can be written")
    func full() throws {
        try withTrace(ChildProgram("trace-full", count: 100_001, workers: 2)) { result, path in
            result.expectSuccess()
            #expect(result.errors.hasPrefix("apus: cannot write to the trace \(path): File too large"))
            #expect(result.errors.split(separator: "\n").count == 1)
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(data.count > 50_000 && data.count <= 100_001)
            let events = try? JSONSerialization.jsonObject(with: data + Data("]".utf8)) as? [[String: Any]]
            #expect(events != nil, "…\(String(decoding: data.suffix(100), as: UTF8.self))")
        }
    }

    @Test("A simulation has tracks, too")
    func simulation() throws {
        try withTrace(ChildProgram("trace-simulation", workers: 2)) { result, path in
            result.expectSuccess()
            #expect(result.errors == "")
            let trace = try TraceContents(path: path)
            #expect(trace.complaints == [])
            #expect(trace.slices.contains { $0.category == "timers" && $0.track >= 10_000 })
        }
    }

    @Test("%p in the name is the process")
    func names() {
        #expect(TraceFile.path("trace.json", process: 17) == "trace.json")
        #expect(TraceFile.path("trace-%p.json", process: 17) == "trace-17.json")
        #expect(TraceFile.path("%p/%p", process: 17) == "17/17")
        #expect(TraceFile.path("100%%p%", process: 17) == "100%p%")
        #expect(TraceFile.path("%q", process: 17) == "%q")
    }

    @Test("Without the setting there is no trace")
    func off() throws {
        #expect(Scheduler.shared.record.traceFile == nil)
        try ChildProgram("trace-everything", workers: 2, trace: "").run().expectSuccess()
    }
}
