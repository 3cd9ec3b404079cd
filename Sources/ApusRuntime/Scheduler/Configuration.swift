// SPDX-License-Identifier: Apache-2.0
//
// What the environment says about the runtime. Read once, at its first use. What is wrong in it ends the program, with a
// sentence about that one setting.

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
    /// Reads after which an RWMutex gives its readers slots; nil for as many as make up for it. Few, in tests.
    var readsBeforeSlots: UInt32?
    /// Stand-ins (see Monitor.swift) that have a slot of their own in locks and pools, as the other workers have. After a while
    /// with goroutines that hog their workers it is the stand-ins that run the rest.
    var standInSlots = 8
    /// Workers that have a slot in locks and pools: those whose index is below.
    var slotCount: Int { processors + standInSlots }
    /// Whether both sides of an asymmetric fence are real ones, as where the system offers nothing else.
    var fencesAreFull = false
    /// How often a line about the scheduler is written to standard error.
    var scheduleTraceMilliseconds: Int?
    /// Where a trace goes, and how many bytes of it.
    var tracePath: String?
    var traceByteLimit = 1 << 30
    /// One in so many goroutines is timed from runnable to running.
    var sampleInterval = defaultSampleInterval
    /// Looks of the monitor until it gives back the memory of unused stacks, or goes to sleep when nothing runs: about a
    /// second, and less in tests of what it does then.
    var monitorRounds = 100
    /// Whether a program is ended that can never go on; see Deadlock.swift.
    var reportsDeadlocks = true
    /// Whether SIGQUIT dumps the goroutines, where the program leaves it alone; see QuitSignal.swift.
    var dumpsOnQuitSignal = true
    /// Whether it is taken from another handler too, such as that of Swift's backtracer.
    var takesQuitSignal = false

    /// `APUS_WORKERS=N`: the number of workers; by default the processors that the process may use (its affinity and its
    /// cgroup's quota). `APUS_TRACE=FILE`: see Trace.swift. `APUS_DEBUG=name=value,…`: for tests and for finding errors, see HACKING.md.
    static func fromEnvironment() -> Configuration {
        var configuration = Configuration(processors: Int(apus_processor_count()))
        if let text = environment("APUS_WORKERS") {
            guard let count = Int(trimmed(text)), (1...1024).contains(count) else {
                refuse("APUS_WORKERS is \"\(text)\"; it must be a number from 1 to 1024")
            }
            configuration.processors = count
        }
        if let path = environment("APUS_TRACE"), !path.isEmpty { configuration.tracePath = path }
        for setting in (environment("APUS_DEBUG") ?? "").split(separator: ",").map(trimmed) where !setting.isEmpty {
            let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            configuration.apply(name: String(parts[0]), value: parts.count > 1 ? String(parts[1]) : "", setting)
        }
        return configuration
    }

    private mutating func apply(name: String, value: String, _ setting: Substring) {
        switch (name, Int(value)) {
        case ("queue", let capacity?) where capacity > 1 && capacity <= 4096 && capacity & (capacity - 1) == 0:
            queueCapacity = capacity
        case ("guardmappings", let limit?) where limit >= 0:
            guardMappingLimit = limit
        case ("migrate", let interval?) where interval > 0:
            migrationInterval = UInt32(clamping: interval)
        case ("readslots", let reads?) where reads >= 0:
            readsBeforeSlots = UInt32(clamping: reads)
        // For the sanitizers' part of CApus, which reads it before `main`.
        case ("races", _) where value == "threads": break
        case ("schedtrace", let milliseconds?) where (1...86_400_000).contains(milliseconds):
            scheduleTraceMilliseconds = milliseconds
        case ("tracelimit", let mebibytes?) where (1...1 << 20).contains(mebibytes):
            traceByteLimit = mebibytes << 20
        case ("sample", let interval?) where (1...1_000_000).contains(interval):
            sampleInterval = UInt32(interval)
        case ("rounds", let rounds?) where rounds > 0:
            monitorRounds = rounds
        case ("deadlock", _) where value == "off":
            reportsDeadlocks = false
        case ("sigquit", _) where value == "off":
            dumpsOnQuitSignal = false
        case ("sigquit", _) where value == "take":
            takesQuitSignal = true
        case ("fences", _) where value == "full":
            fencesAreFull = true
        case ("standinslots", let count?) where (0...1024).contains(count):
            standInSlots = count
        case ("guard", _):
            guard let kind = GuardKind(rawValue: value) else { fallthrough }
            guardKind = kind
        default:
            Self.refuse("APUS_DEBUG holds \"\(setting)\"\(Self.advice(name: name))")
        }
    }

    /// What each setting of APUS_DEBUG may be. Beside `apply`, which decides.
    private static let forms: [(name: String, form: String)] = [
        ("deadlock", "deadlock=off"),
        ("fences", "fences=full"),
        ("guard", "guard=install or guard=protect"),
        ("guardmappings", "guardmappings=N, N zero or more"),
        ("migrate", "migrate=N, N one or more"),
        ("queue", "queue=N, N a power of two from 2 to 4096"),
        ("races", "races=threads"),
        ("readslots", "readslots=N, N zero or more"),
        ("rounds", "rounds=N, N one or more"),
        ("sample", "sample=N, N from 1 to 1000000"),
        ("schedtrace", "schedtrace=N, N from 1 to 86400000 milliseconds"),
        ("sigquit", "sigquit=off or sigquit=take"),
        ("standinslots", "standinslots=N, N from 0 to 1024"),
        ("tracelimit", "tracelimit=N, N from 1 to 1048576 MiB"),
    ]

    private static func advice(name: String) -> String {
        let name = trimmed(name)
        if let form = forms.first(where: { $0.name == name })?.form { return "; it must be \(form)" }
        return ", which is not one of its settings: " + forms.map(\.name).joined(separator: ", ")
    }

    /// Ends the program. Not by `fail`: whoever set the variable wants the sentence, and not a crash report of a program
    /// that has done nothing yet.
    private static func refuse(_ sentence: String) -> Never {
        writeError("apus: \(sentence)\n")
        // EX_USAGE of sysexits.h.
        apus_exit_now(64)
    }

    /// Without the spaces around it.
    private static func trimmed(_ text: some StringProtocol) -> Substring {
        var text = Substring(text)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }

    private static func environment(_ name: String) -> String? {
        guard let text = unsafe apus_environment(name) else { return nil }
        return unsafe String(cString: text)
    }
}
