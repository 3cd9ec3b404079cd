// SPDX-License-Identifier: Apache-2.0

import CApus
import Foundation
import Testing

@Suite(.serialized) struct C10KTests {
    @Test func measures() throws {
        let file = TemporaryFile()
        let run = try ExampleProgram("c10k", ["--connections", "200", "--seconds", "1", "--json", file.path])
        #expect(run.end() == .exited(0), "\(run.errorText)")
        let lines = run.outputText.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(lines.first == "connections held 200 of 200")
        #expect(lines.last == "errors none")

        let json = try JSONSerialization.jsonObject(with: Data(file.text.utf8))
        let figures = try #require(json as? [String: Any])
        #expect(figures["is_complete"] as? Bool == true)
        #expect(figures["connections_held"] as? Int == 200)
        #expect(try #require(figures["requests"] as? Int) >= 200)
        #expect(try #require(figures["latency_p99_microseconds"] as? Double) > 0)
        #if os(Linux)
        #expect(try #require(figures["server_cpu_per_request_microseconds"] as? Double) > 0)
        let memory = try #require(figures["server_memory_per_connection_bytes"] as? Double)
        // Far above what the README promises, far below what a mistake would make of it; beside a sanitizer's own memory
        // it says nothing.
        #expect(memory < (apus_sanitizer_kind() == apus_sanitizer_none ? 20_000 : .infinity))
        #endif
    }

    @Test func raisesItsLimitOfOpenFiles() throws {
        let run = try ExampleProgram(
            "c10k", ["--connections", "200", "--seconds", "1"], preparation: "ulimit -S -n 100")
        #expect(run.end() == .exited(0), "\(run.errorText)")
    }

    @Test func saysHowToRaiseTheLimit() throws {
        let run = try ExampleProgram("c10k", ["--connections", "200"], preparation: "ulimit -n 100")
        #expect(run.end() == .exited(2))
        #expect(run.outputText == "")
        #expect(run.errorText.contains("ulimit -n 264"))
    }

    @Test func saysThatItCannotWriteBeforeItStarts() throws {
        let run = try ExampleProgram("c10k", ["--json", "/no such directory/file"])
        #expect(run.end() == .exited(1))
        #expect(run.errorText == "Error: cannot write /no such directory/file: No such file or directory\n")
    }

    @Test(arguments: [SIGINT, SIGTERM]) func showsWhatItHasWhenInterrupted(signal: Int32) throws {
        let run = try ExampleProgram("c10k", ["--connections", "200", "--seconds", "60"])
        #expect(run.wait(for: "measuring") != nil)
        run.send(signal)
        #expect(run.end() == .exited(128 + signal))
        #expect(run.outputText.contains("200 of 200"))
        #expect(run.errorText.contains("Interrupted"))
    }

    #if os(Linux)
    @Test func noticesThatItsServerWasKilled() throws {
        let run = try ExampleProgram("c10k", ["--connections", "200", "--seconds", "60"])
        #expect(run.wait(for: "measuring") != nil)
        kill(try Self.server(of: run), SIGKILL)
        #expect(run.end() == .exited(1))
        #expect(run.outputText.contains("0 of 200"))
        #expect(run.errorText.contains("the server process has ended: killed by signal 9"))
    }

    @Test func leavesNoServerBehind() throws {
        let run = try ExampleProgram("c10k", ["--connections", "200", "--seconds", "60"])
        #expect(run.wait(for: "measuring") != nil)
        let server = try Self.server(of: run)
        run.send(SIGKILL)
        #expect(run.end() == .killed(signal: SIGKILL))
        var isGone = false
        for _ in 0..<6000 where !isGone {
            // Its new parent may be slow to take note of its end.
            let state = (try? String(contentsOfFile: "/proc/\(server)/stat", encoding: .utf8)) ?? ") Z"
            isGone = state.contains(") Z")
            usleep(10_000)
        }
        #expect(isGone)
    }

    private static func server(of run: ExampleProgram) throws -> Int32 {
        let path = "/proc/\(run.identifier)/task/\(run.identifier)/children"
        let children = try String(contentsOfFile: path, encoding: .utf8)
        return try #require(Int32(children.split(separator: " ").first ?? ""), "\(children)")
    }
    #endif
}
