// SPDX-License-Identifier: Apache-2.0
//
// What child processes of the tests do to themselves.

#if os(Linux)
import CApus

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

// The standard library's C module hides it: it is not POSIX.
@_silgen_name("unshare") private func linuxUnshare(_ flags: Int32) -> Int32

#if canImport(Glibc)
private let limitOfDescriptors = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
#else
private let limitOfDescriptors = RLIMIT_NOFILE
#endif

enum System {
    /// Moves this thread to a network namespace without any interface that is up. False without the privilege.
    static func enterEmptyNetwork() -> Bool {
        linuxUnshare(0x4000_0000 /* CLONE_NEWNET */) == 0
    }

    static func restoreDefaultSIGPIPE() {
        _ = signal(SIGPIPE, SIG_DFL)
    }

    /// Sends one byte as TCP's urgent data.
    static func sendUrgent(_ byte: UInt8, to descriptor: Int32) {
        var byte = byte
        _ = unsafe send(descriptor, &byte, 1, 1 /* MSG_OOB */)
    }

    /// Lets a UDP socket receive together what was sent together. False where the kernel cannot.
    static func receiveTogether(_ descriptor: Int32) -> Bool {
        var on: Int32 = 1
        return unsafe setsockopt(descriptor, 17 /* SOL_UDP */, 104 /* UDP_GRO */, &on, 4) == 0
    }

    /// Processor time that this process has used.
    static func processorTime() -> Duration {
        var usage = rusage()
        _ = unsafe getrusage(0 /* RUSAGE_SELF */, &usage)
        return .seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + .microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
    }

    /// The sockets that this process has open, as the kernel names them: "socket:[4711]".
    static func openSockets() -> Set<String> {
        guard let directory = unsafe opendir("/proc/self/fd") else { return [] }
        defer { unsafe closedir(directory) }
        var sockets: Set<String> = []
        while let entry = unsafe readdir(directory) {
            let number = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe String(cString: UnsafeRawPointer(name).assumingMemoryBound(to: CChar.self))
            }
            guard let number = Int32(number) else { continue }
            let target = describe(number)
            if target.hasPrefix("socket:") { sockets.insert(target) }
        }
        return sockets
    }

    /// What a descriptor of this process is, as the kernel names it; empty when it is not open.
    static func describe(_ descriptor: Int32) -> String {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
            let count = unsafe readlink("/proc/self/fd/\(descriptor)", text.baseAddress!, text.count - 1)
            unsafe text[max(0, count)] = 0
            return unsafe String(cString: text.baseAddress!)
        }
    }

    static func openFile(_ path: String) -> Int32 {
        unsafe open(path, O_RDONLY | O_CLOEXEC)
    }

    /// From here on no descriptor can be opened: every number is beyond the limit. Returns the limit that was in force.
    ///
    /// Opening descriptors until none is left would not do: other threads of the process open and close some too.
    static func forbidDescriptors() -> UInt64 {
        var limit = rlimit()
        _ = unsafe getrlimit(limitOfDescriptors, &limit)
        let before = limit.rlim_cur
        limit.rlim_cur = 0
        _ = unsafe setrlimit(limitOfDescriptors, &limit)
        return UInt64(before)
    }

    static func allowDescriptors(_ count: UInt64) {
        var limit = rlimit()
        _ = unsafe getrlimit(limitOfDescriptors, &limit)
        limit.rlim_cur = rlim_t(count)
        _ = unsafe setrlimit(limitOfDescriptors, &limit)
    }
}
#endif
