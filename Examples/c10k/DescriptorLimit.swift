// SPDX-License-Identifier: Apache-2.0
//
// Every connection is an open file, in this process and in the server's. Systems allow 1,024 or even 256 at first.

import Foundation

struct DescriptorLimit: Error, CustomStringConvertible {
    let connections: Int
    let needed: Int
    let allowed: Int

    /// What else is open: standard streams, pipes, listeners, the poller. Generous.
    private static let reserve = 64

    /// Raises this process's limit as far as needed; the server, its child, inherits it.
    static func raise(forConnections connections: Int) throws(DescriptorLimit) {
        let needed = connections + reserve
        var limit = rlimit()
        unsafe getrlimit(openFiles, &limit)
        let soft = Int(clamping: limit.rlim_cur)
        let hard = Int(clamping: limit.rlim_max)
        guard soft < needed else { return }
        guard needed <= hard else {
            throw DescriptorLimit(connections: connections, needed: needed, allowed: hard)
        }
        // All that is allowed, and not just what is needed: a file that was open when we started may have a number beyond
        // that, and then no child can be started. macOS refuses some high numbers, so there the need has to do.
        for attempt in [limit.rlim_max, rlim_t(needed)] {
            limit.rlim_cur = attempt
            if unsafe setrlimit(openFiles, &limit) == 0 { return }
        }
        throw DescriptorLimit(connections: connections, needed: needed, allowed: soft)
    }

    #if canImport(Glibc)
    private static let openFiles = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    private static let openFiles = RLIMIT_NOFILE
    #endif

    var description: String {
        let possible = allowed - Self.reserve
        let advice = possible > 0 ? "Take fewer (--connections \(possible)), or raise the limit" : "Raise the limit"
        return """
            \(connections.grouped) connections need \(needed.grouped) open files in one process, and the system allows \
            \(allowed.grouped).
            \(advice) and try again:
              in this shell, as root    ulimit -n \(needed)
              for every login           *  -  nofile  \(needed)      in /etc/security/limits.conf
              for a systemd service     LimitNOFILE=\(needed)        in its [Service] section
            """
    }
}
