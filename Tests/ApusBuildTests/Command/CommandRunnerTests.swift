// SPDX-License-Identifier: Apache-2.0

import Subprocess
import Synchronization
import SystemPackage
import Testing

@testable import ApusBuild

/// Running commands.
@Suite struct CommandRunnerTests {
    @Test("Lines may be of any length: compilers show those of sources")
    func longLines() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            let lengths = Mutex<[Int]>([])
            let script =
                "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end; head -c 300000 /dev/zero | tr '\\0' y >&2"
            let status = try await invocation.commands.run(Command("sh", ["-c", script])) { _, line in
                lengths.withLock { $0.append(line.utf8.count) }
            }
            #expect(status.isSuccess)
            #expect(lengths.withLock { $0.sorted() } == [3, 300_000, 1_000_000])
        }
    }

    @Test("A folder on PATH is no program, and PATH may be missing")
    func programsOnPath() async throws {
        try await withTemporaryFolder { folder in
            try Files.makeFolder(folder.pushing("one/swift"))
            try Files.write("#!/bin/sh\n".utf8, to: folder.pushing("two/swift"), permissions: [.ownerReadWriteExecute])
            var environment = ["HOME": "/", "PATH": "relative:\(folder)/one:\(folder)/two"]
            let console = Console(style: .plain, output: { _ in }, errors: { _ in })
            let invocation = try Invocation(directory: folder, environment: environment, console: console)
            #expect(invocation.programOnPath("swift") == folder.pushing("two/swift"))
            environment["PATH"] = nil
            let without = try Invocation(directory: folder, environment: environment, console: console)
            #expect(without.programOnPath("sh") != nil)
        }
    }
}
