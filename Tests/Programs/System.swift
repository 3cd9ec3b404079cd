// SPDX-License-Identifier: Apache-2.0
//
// What the scenarios need of the system beside the runtime: threads, descriptors, what the process costs.

import Apus
import CApus
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

func exitProcess(_ status: Int32) -> Never { exit(status) }

/// A thread that knows nothing of the runtime.
final class PlainThread: Sendable {
    // SAFETY: written once, by init; read by `join` and `deinit`.
    nonisolated(unsafe) private var handle: pthread_t
    private let isJoined = Atomic<Bool>(false)

    private final class Body {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    init(_ body: @escaping @Sendable () -> Void) {
        let context = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
        #if os(Linux)
        var handle = pthread_t()
        let status = unsafe pthread_create(&handle, nil, { unsafe PlainThread.main($0) }, context)
        #else
        var handle: pthread_t?
        let status = unsafe pthread_create(&handle, nil, { unsafe PlainThread.main($0) }, context)
        #endif
        precondition(status == 0, "cannot start a thread: error \(status)")
        #if os(Linux)
        unsafe self.handle = handle
        #else
        unsafe self.handle = handle!
        #endif
    }

    private static func main(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        unsafe Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
        return nil
    }

    /// Waits until the thread has ended, its thread-local destructors included. Blocks the calling thread.
    func join() {
        unsafe pthread_join(handle, nil)
        isJoined.store(true, ordering: .relaxed)
    }

    /// Of a thread that nobody joins the system keeps nothing when it has ended.
    deinit { if !isJoined.load(ordering: .relaxed) { unsafe pthread_detach(handle) } }
}

/// Runs a function on so many plain threads and waits for all.
func runThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).map { index in PlainThread { body(index) } }
    for thread in threads { thread.join() }
}

/// Two connected, non-blocking stream sockets.
func makeSocketPair(_ run: Run) -> (Int32, Int32) {
    var pair: [Int32] = [-1, -1]
    #if os(Linux)
    let type = Int32(SOCK_STREAM.rawValue)
    #else
    let type = SOCK_STREAM
    #endif
    run.check(unsafe socketpair(AF_UNIX, type, 0, &pair) == 0, "no socket pair")
    for descriptor in pair {
        run.check(fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0, "cannot make a socket non-blocking")
    }
    return (pair[0], pair[1])
}

/// Reads what the process itself writes to standard error, line by line.
final class OwnErrors: Sendable {
    private let reading: Int32
    private let original: Int32

    init(_ run: Run) {
        var ends: [Int32] = [-1, -1]
        run.check(unsafe pipe(&ends) == 0, "no pipe")
        original = dup(STDERR_FILENO)
        run.check(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO, "standard error cannot be replaced")
        close(ends[1])
        reading = ends[0]
    }

    /// The next line, which is passed on to where standard error went before.
    func nextLine() -> String {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while unsafe read(reading, &byte, 1) == 1 {
            line.append(byte)
            if byte == 10 { break }
        }
        _ = unsafe write(original, line, line.count)
        return String(decoding: line.dropLast(), as: UTF8.self)
    }
}

/// The text of a file of /proc.
func readFile(_ path: String) -> String {
    guard let file = unsafe fopen(path, "r") else { return "" }
    defer { unsafe fclose(file) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = unsafe fread(&buffer, 1, buffer.count, file)
        if count == 0 { return String(decoding: text, as: UTF8.self) }
        text += buffer[..<count]
    }
}

enum Cost {
    static var mappings: Int { readFile("/proc/self/maps").utf8.reduce(0) { $0 + ($1 == 10 ? 1 : 0) } }

    /// Bytes of memory that the process holds.
    static var residentBytes: Int {
        let fields = readFile("/proc/self/statm").split(separator: " ")
        return fields.count > 1 ? Int(fields[1])! * Int(apus_page_bytes()) : 0
    }

    static var threads: Int {
        for line in readFile("/proc/self/status").split(separator: "\n") where line.hasPrefix("Threads:") {
            return Int(line.split(separator: "\t")[1])!
        }
        return 0
    }
}

/// Waits until something about the process holds that no wake tells about. Only the watchdog ends it otherwise.
func waitUntil(_ condition: () -> Bool) {
    while !condition() { sleep(for: .milliseconds(5)) }
}

/// The rounding mode of the floating-point units, as the C library knows it.
enum Rounding {
    // The C library defines these both as macros and as an enumeration's cases, which Swift cannot tell apart.
    #if arch(x86_64)
    static let upward: Int32 = 0x800
    static let downward: Int32 = 0x400
    #else
    static let upward: Int32 = 0x400000
    static let downward: Int32 = 0x800000
    #endif

    static var current: Int32 {
        @inline(never) get { fegetround() }
        @inline(never) set { _ = fesetround(newValue) }
    }
}

func errorNumber() -> Int32 { errno }
func setErrorNumber(_ number: Int32) { errno = number }

func directoryEntries(_ path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
            unsafe String(cString: UnsafeRawPointer(name).assumingMemoryBound(to: CChar.self))
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}
