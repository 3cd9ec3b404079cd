// SPDX-License-Identifier: Apache-2.0
//
// One process of a test bundle, from its start to its end, whatever it does in between: prints, hangs, crashes, leaves
// children behind that hold its output open. It has a process group of its own, so that all of it can be ended.
//
//     running --- has ended -----------------------------------------------> drained: what it wrote before it ended
//        |                                                                      ^
//        +-- its time is up -- stacks are dumped (TimeoutDump) -- killed -------+
//        +-- it is told to stop (`-failfast`) ------------------- killed -------+
//        +-- the task is cancelled: SIGINT, 2 s later SIGKILL ------------------+

private import Dispatch
private import FoundationEssentials
private import Glibc
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// What one process is to run as, and where what it says goes.
struct TestProcess: Sendable {
    let command: Command
    /// A FIFO that it writes Swift Testing's events to.
    let events: FilePath?
    /// Takes a line of its output or of its events. Called on one thread at a time. With `false` the process is ended.
    let line: @Sendable (Channel, [UInt8]) -> Bool

    enum Channel: Sendable {
        case output
        case events
    }

    /// How it ended.
    struct Ending: Sendable, Equatable {
        let status: TerminationStatus
        /// Its time was up.
        var isTimeout = false
        /// It was told to stop.
        var isStopped = false
    }

    /// Runs it.
    ///
    /// - Parameter timeout: Called when its time is up, before it is killed, with the process and a function that goes on
    ///   reading what it prints until it has been quiet for so long, or has ended.
    func run(
        _ invocation: Invocation, until deadline: ContinuousClock.Instant?,
        timeout:
            @escaping @Sendable (_ process: Int32, _ read: @Sendable (_ quiet: Duration) async -> Void) async -> Void
    ) async throws -> Ending {
        let output = try FileDescriptor.pipe(options: .closeOnExec)
        defer { try? output.readEnd.close() }
        var eventsEnd: FileDescriptor?
        defer { try? eventsEnd?.close() }
        if let events {
            // For writing too: there is no end of file, and opening does not wait for the process.
            eventsEnd = try FileDescriptor.open(events, .readWrite, options: [.nonBlocking, .closeOnExec])
        }
        let reader = ProcessReader(output: output.readEnd, events: eventsEnd, line: line)
        let ending = Mutex(Ending(status: .exited(0)))
        let mark = "\(LeftBehind.variable)=\(UInt64.random(in: .min ... .max))"
        var command = command
        command.environment[LeftBehind.variable] = mark.split(separator: "=").last.map(String.init)
        let status = try await invocation.commands.runInGroup(command, output: output.writeEnd) { process in
            reader.watch(process)
            // The process stays a zombie until this returns, so its number belongs to nobody else.
            defer { LeftBehind.end(group: process.value, mark: mark) }
            switch await reader.read(until: deadline) {
            case .ended:
                break
            case .deadline:
                ending.withLock { $0.isTimeout = true }
                await timeout(process.value) { quiet in
                    _ = await reader.read(until: ContinuousClock.now + .seconds(30), quiet: quiet)
                }
                kill(-process.value, SIGKILL)
                _ = await reader.read(until: nil)
            case .stopped:
                ending.withLock { $0.isStopped = true }
                kill(-process.value, SIGKILL)
                _ = await reader.read(until: nil)
            }
        }
        reader.drain()
        return ending.withLock {
            Ending(status: status, isTimeout: $0.isTimeout, isStopped: $0.isStopped)
        }
    }
}

/// Processes that a test process has started and not ended.
private enum LeftBehind {
    /// Children inherit it, whatever group they are in.
    static let variable = "APUS_TEST_PROCESS"

    /// Ends what is in a process group, and whatever bears the mark in its environment.
    static func end(group: Int32, mark: String) {
        kill(-group, SIGKILL)
        let mark = Array(mark.utf8)
        // Again, as one may have started another meanwhile; but not for ever.
        for _ in 0..<10 {
            var isFound = false
            for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
                guard let process = Int32(name), process != getpid(), process != group,
                    let environment = try? Files.read(FilePath("/proc/\(process)/environ")),
                    environment.split(separator: 0).contains(where: { $0.elementsEqual(mark) })
                else { continue }
                isFound = kill(process, SIGKILL) == 0 || isFound
            }
            if !isFound { return }
        }
    }
}

/// Reads what a process writes, on a thread of its own, until the process has ended. Not until the end of its streams: a
/// child that it left behind may hold those open.
private final class ProcessReader: @unchecked Sendable {
    // SAFETY: after `watch`, only the thread in `read` uses the state, or the caller of `drain`, and those take turns: each
    // begins when the one before has returned.
    private var streams: [Stream]
    private var process: ProcessIdentifier?
    private let line: @Sendable (TestProcess.Channel, [UInt8]) -> Bool

    enum Reason {
        case ended
        case deadline
        case stopped
    }

    private struct Stream {
        let channel: TestProcess.Channel
        let descriptor: FileDescriptor
        var line: [UInt8] = []
        var isOpen = true
    }

    init(
        output: FileDescriptor, events: FileDescriptor?,
        line: @escaping @Sendable (TestProcess.Channel, [UInt8]) -> Bool
    ) {
        // Events first: what a test prints belongs to a test that has begun.
        streams = events.map { [Stream(channel: .events, descriptor: $0)] } ?? []
        streams.append(Stream(channel: .output, descriptor: output))
        self.line = line
        _ = fcntl(output.rawValue, F_SETFL, O_NONBLOCK)
    }

    func watch(_ process: ProcessIdentifier) { self.process = process }

    /// Reads until the process has ended, or `deadline`, or it has been quiet for so long, or a line says that it is to stop.
    func read(until deadline: ContinuousClock.Instant?, quiet: Duration? = nil) async -> Reason {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: self.loop(deadline, quiet)) }
        }
    }

    private func loop(_ deadline: ContinuousClock.Instant?, _ quiet: Duration?) -> Reason {
        var lastLine = ContinuousClock.now
        while true {
            let now = ContinuousClock.now
            var end = deadline
            if let quiet { end = min(end ?? lastLine + quiet, lastLine + quiet) }
            if let end, end <= now { return .deadline }
            var wait = end.map { ($0 - now) / .milliseconds(1) } ?? 3_600_000
            let open = streams.indices.filter { streams[$0].isOpen }
            var polls = open.map { pollfd(fd: streams[$0].descriptor.rawValue, events: Int16(POLLIN), revents: 0) }
            if let process, process.processDescriptor >= 0 {
                polls.append(pollfd(fd: process.processDescriptor, events: Int16(POLLIN), revents: 0))
            } else {
                // No way to wait for both: look again soon.
                wait = min(wait, 20)
            }
            let count = unsafe poll(&polls, nfds_t(polls.count), Int32(min(wait.rounded(.up), 3_600_000)))
            if count < 0 && errno != EINTR { return .ended }
            for (index, entry) in zip(open, polls) where entry.revents != 0 {
                lastLine = ContinuousClock.now
                guard readAll(index) else { return .stopped }
            }
            if hasEnded(polls.last, watched: polls.count > open.count) { return .ended }
        }
    }

    private func hasEnded(_ last: pollfd?, watched: Bool) -> Bool {
        if watched { return (last?.revents ?? 0) != 0 }
        guard let process else { return true }
        var info = unsafe siginfo_t()
        let result = unsafe waitid(P_PID, id_t(process.value), &info, WEXITED | WNOHANG | WNOWAIT)
        // (Nothing is filled in when nothing has ended.)
        return unsafe result != 0 || info.si_signo != 0
    }

    /// What has been written and not been read. The last line counts without its line break too.
    func drain() {
        for index in streams.indices {
            _ = readAll(index)
            if !streams[index].line.isEmpty {
                _ = line(streams[index].channel, streams[index].line)
                streams[index].line = []
            }
        }
    }

    /// Reads what there is, without waiting, and hands over the whole lines of it.
    ///
    /// - Returns: Whether to go on.
    private func readAll(_ index: Int) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while streams[index].isOpen {
            let count: Int
            do {
                count = try unsafe buffer.withUnsafeMutableBytes { try unsafe streams[index].descriptor.read(into: $0) }
            } catch Errno.wouldBlock {
                return true
            } catch {
                count = 0
            }
            if count == 0 {
                streams[index].isOpen = false
            } else if !take(buffer[..<count], index) {
                return false
            }
        }
        return true
    }

    private func take(_ bytes: ArraySlice<UInt8>, _ index: Int) -> Bool {
        var goesOn = true
        var rest = bytes
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            goesOn = line(streams[index].channel, streams[index].line + rest[...end]) && goesOn
            streams[index].line = []
            rest = rest[(end + 1)...]
        }
        streams[index].line += rest
        // A line without an end must not fill the memory.
        if streams[index].line.count >= 1 << 20 {
            goesOn = line(streams[index].channel, streams[index].line) && goesOn
            streams[index].line = []
        }
        return goesOn
    }
}

extension CommandRunner {
    /// Runs a command in a process group of its own, with no input and with both of its streams going to `output`, which is
    /// closed here. `body` runs beside it.
    fileprivate func runInGroup(
        _ command: Command, output: FileDescriptor, _ body: @escaping @Sendable (ProcessIdentifier) async -> Void
    ) async throws -> TerminationStatus {
        let command = try supervised(command)
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [
            .send(signal: .interrupt, toProcessGroup: true, allowedDurationToNextStep: .seconds(2))
        ]
        var values = environment
        for (name, value) in command.environment { values[name] = value }
        let variables = values.map { (Environment.Key(stringLiteral: $0.key), $0.value) }
        do {
            let result = try await Subprocess.run(
                command.executable.contains("/") ? .path(FilePath(command.executable)) : .name(command.executable),
                arguments: Arguments(command.arguments),
                environment: .custom(Dictionary(uniqueKeysWithValues: variables)),
                workingDirectory: command.directory ?? directory, platformOptions: options, input: .none,
                output: .fileDescriptor(output, closeAfterSpawningProcess: true), error: .combinedWithOutput
            ) { execution in
                await body(execution.processIdentifier)
            }
            try Task.checkCancellation()
            return result.terminationStatus
        } catch let error as SubprocessError {
            if Task.isCancelled { throw CancellationError() }
            throw ToolError("cannot run \(command.executable): \(error)", status: .unavailable)
        }
    }
}

extension Files {
    /// Makes a named pipe, in place of one that may be there.
    static func makeFifo(_ path: FilePath) throws {
        try Files.remove(path)
        guard unsafe mkfifo(path.string, 0o600) == 0 else {
            throw failure("cannot make the named pipe \(path)", Errno(rawValue: errno))
        }
    }
}
