// SPDX-License-Identifier: Apache-2.0
//
// What the tests of images, vendoring and templates have in common: folders that are gone afterwards, programs that are
// asked, a registry.

import Foundation
import Subprocess
import Synchronization
import SystemPackage
import Testing

@testable import ApusBuild

/// A folder that is gone afterwards.
func withTemporaryFolder<Result>(_ body: (FilePath) async throws -> Result) async throws -> Result {
    try await PassingFolder.with(in: ProcessInfo.processInfo.environment, body)
}

/// What a program prints. Fails the test when it fails.
func output(
    _ program: String, _ arguments: [String], in folder: FilePath, environment: [String: String?] = [:],
    sourceLocation: SourceLocation = #_sourceLocation
) async throws -> String {
    let (invocation, _) = try testInvocation(in: folder)
    let answer = try await invocation.commands.capture(
        Command(program, arguments, in: folder, environment: environment))
    try #require(answer.isSuccess, "\(program) \(arguments): \(answer.errors)", sourceLocation: sourceLocation)
    return answer.output
}

/// What was said to a console.
final class Sayings: Sendable {
    private let texts = Mutex<[String]>([])

    func add(_ text: String) { texts.withLock { $0.append(text) } }
    var text: String { texts.withLock { $0.joined() } }
}

/// A call in a folder, whose words are kept.
func testInvocation(
    in folder: FilePath, environment: [String: String] = [:], isVerbose: Bool = false
) throws -> (Invocation, Sayings) {
    let sayings = Sayings()
    let all = ProcessInfo.processInfo.environment
        .merging(["HOME": folder.string, "DOCKER_CONFIG": folder.appending("docker").string]) { $1 }
        .merging(environment) { $1 }
    let console = Console(style: .plain, isVerbose: isVerbose, output: sayings.add, errors: sayings.add)
    return (try Invocation(directory: folder, environment: all, console: console), sayings)
}

/// Debian's `docker-registry` on a port that the kernel chooses.
func withRegistry<Result>(
    _ folder: FilePath, settings: String = "", _ body: (String) async throws -> Result
) async throws -> Result {
    let configuration = """
        version: 0.1
        log: {level: info, formatter: text}
        storage: {filesystem: {rootdirectory: \(folder.appending("registry"))}}
        http: {addr: "127.0.0.1:0"}
        \(settings)
        """
    try Files.write(configuration, to: folder.appending("registry.yml"))
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["docker-registry", "serve", folder.appending("registry.yml").string]
    // It says its address there, among other things. The pipe is read to its end, so that it never fills.
    let pipe = Pipe()
    process.standardError = pipe
    process.standardOutput = FileHandle.nullDevice
    let (addresses, found) = AsyncStream.makeStream(of: String.self)
    let text = Mutex(Data())
    pipe.fileHandleForReading.readabilityHandler = { handle in
        let piece = handle.availableData
        if piece.isEmpty {
            handle.readabilityHandler = nil
            found.finish()
            return
        }
        let all = text.withLock {
            $0 += piece
            return String(decoding: $0, as: UTF8.self)
        }
        if let match = all.firstMatch(of: /listening on (127\.0\.0\.1:\d+)"/) {
            found.yield(String(match.1))
        }
    }
    try process.run()
    defer {
        process.terminate()
        process.waitUntilExit()
        pipe.fileHandleForReading.readabilityHandler = nil
    }
    var iterator = addresses.makeAsyncIterator()
    guard let address = await iterator.next() else {
        throw ToolError("docker-registry did not start: \(text.withLock { String(decoding: $0, as: UTF8.self) })")
    }
    return try await body(address)
}

/// Whether a program is there, for tests that need it. `.ci/install-tools` installs all of them.
func hasProgram(_ name: String) -> Bool {
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
    }
}
