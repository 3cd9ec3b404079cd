// SPDX-License-Identifier: Apache-2.0
//
// What the environment says about the runtime. Read once, at its first use.

import CApus

struct Configuration {
    /// Workers: goroutines that run at the same time.
    var processors: Int
    /// Entries of a worker's queue.
    var queueCapacity = 256
    /// How guard regions are made; see StackArena.swift.
    var guardKind: GuardKind?
    /// Mappings that guards may use where each needs one; nil for half of what the system allows.
    var guardMappingLimit: Int?
    /// Whether a yielding or woken goroutine is sent to the global queue now and then, so that it changes threads. A
    /// test's means: what migrates seldom shows its errors seldom.
    var migrationInterval: UInt32?

    /// `APUS_WORKERS=N`: the number of workers; by default the processors that the process may use (its affinity and its
    /// cgroup's quota). `APUS_DEBUG=name=value,…`: for tests and for finding errors, see HACKING.md.
    static func fromEnvironment() -> Configuration {
        var configuration = Configuration(processors: Int(apus_processor_count()))
        if let text = environment("APUS_WORKERS") {
            guard let count = Int(text), (1...1024).contains(count) else {
                fail("APUS_WORKERS is \"\(text)\"; it must be a number from 1 to 1024")
            }
            configuration.processors = count
        }
        for setting in (environment("APUS_DEBUG") ?? "").split(separator: ",") {
            let parts = setting.split(separator: "=", maxSplits: 1)
            configuration.apply(name: String(parts[0]), value: parts.count > 1 ? String(parts[1]) : "")
        }
        return configuration
    }

    private mutating func apply(name: String, value: String) {
        switch (name, Int(value)) {
        case ("queue", let capacity?) where capacity > 1 && capacity <= 4096 && capacity & (capacity - 1) == 0:
            queueCapacity = capacity
        case ("guardmappings", let limit?) where limit >= 0:
            guardMappingLimit = limit
        case ("migrate", let interval?) where interval > 0:
            migrationInterval = UInt32(clamping: interval)
        // For the sanitizers' part of CApus, which reads it before `main`.
        case ("races", _) where value == "threads": break
        case ("guard", _):
            guard let kind = GuardKind(rawValue: value) else { fallthrough }
            guardKind = kind
        default:
            fail(
                "APUS_DEBUG holds \"\(name)=\(value)\"; it knows queue=2…4096 (a power of two), guard=install|protect, "
                    + "guardmappings=N, migrate=N and races=threads")
        }
    }

    private static func environment(_ name: String) -> String? {
        guard let text = unsafe apus_environment(name) else { return nil }
        return unsafe String(cString: text)
    }
}
