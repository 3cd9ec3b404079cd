// SPDX-License-Identifier: Apache-2.0
//
// What a trace records, and how it looks in the file: events of the Chrome trace format, in JSON, as Perfetto and
// chrome://tracing read them. Nothing here knows of threads or locks.
//
//     complete   "X", a slice from `start` to `end`
//     begin      "B", of a slice that was still open when the buffers were written out
//     end        "E", of a slice whose beginning was written before
//     created    "i", a goroutine is started
//
// A slice of a goroutine that was woken or started carries the other end of the arrow with it: when, and on which track,
// that was done. So an arrow is written whole, "s" and "f", together with the slice that it leads to, or not at all.

struct TraceEvent {
    enum Phase: UInt8 { case complete, begin, end, created }

    /// What a slice shows.
    enum Activity: UInt8 {
        /// A goroutine runs.
        case run
        /// A goroutine is inside `blocking { }`.
        case blocking
        /// A thread waits in the poller; looks into it in passing.
        case pollerWait, poll
        /// A worker runs timers that are due.
        case timers
        /// A thread wakes or starts a goroutine, in no other slice.
        case wake
        /// A full buffer is written to the file.
        case writing
    }

    /// How a slice of a goroutine ended.
    enum Ending: UInt8 { case none, parks, yields, ends, blocks, isRunning }

    /// What made a goroutine runnable.
    enum Cause: UInt8 { case none, started, woken }

    var phase = Phase.complete
    var activity: Activity
    var ending = Ending.none
    /// What a goroutine that parks waits for.
    var reason = WaitReason.none
    var cause = Cause.none
    var track: UInt32
    /// Where the goroutine was started or woken.
    var causeTrack: UInt32 = 0
    var start: Int64
    var end: Int64 = 0
    /// The goroutine; for slices of the poller and of timers, how many were woken.
    var number: UInt64 = 0
    /// Of a creation: the goroutine that started the other, or 0.
    var parent: UInt64 = 0
    /// When the goroutine was made runnable; 0 if it was not.
    var runnableSince: Int64 = 0
}

/// Tracks: the rows of the picture, as numbers of threads in the file.
enum TraceTrack {
    static func worker(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: index) + 1 }
    static var poller: UInt32 { 5000 }
    static var monitor: UInt32 { 5001 }
    /// Of a thread without a worker: inside `blocking { }`, or not the runtime's.
    static func thread(_ number: Int) -> UInt32 { UInt32(truncatingIfNeeded: number) &+ 10_000 }

    static func name(_ track: UInt32) -> String {
        switch track {
        case ..<5000: "worker \(track - 1)"
        case 5000: "poller"
        case 5001: "monitor"
        default: "thread \(track - 10_000)"
        }
    }
}

/// Text of events, ready to be appended to the file: each begins with the comma after the one before.
struct TraceText {
    private(set) var bytes: [UInt8] = []
    let process: Int
    /// Times in the file count from here.
    let origin: Int64

    init(process: Int, origin: Int64) {
        self.process = process
        self.origin = origin
    }

    mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    // MARK: Events

    /// The beginning of a file: an event by itself.
    mutating func appendHeader(program: String) {
        append("[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":")
        append(process)
        append(",\"args\":{\"name\":")
        append(quoted: program)
        append("}}")
    }

    mutating func appendFooter() { append("\n]\n") }

    /// Names a track. Workers come first, then the poller and the monitor.
    mutating func appendName(ofTrack track: UInt32) {
        begin("M", "thread_name", track: track)
        append(",\"args\":{\"name\":")
        append(quoted: TraceTrack.name(track))
        append("}}")
        begin("M", "thread_sort_index", track: track)
        append(",\"args\":{\"sort_index\":")
        append(Int(track))
        append("}}")
    }

    /// An event, and the arrow that leads to it. `name` is the goroutine's, if it has one.
    mutating func append(_ event: TraceEvent, name: String?, flow: UInt64) {
        switch event.phase {
        case .created:
            begin("i", "go", track: event.track)
            append(",\"cat\":\"goroutine\",\"s\":\"t\"")
            append(",\"ts\":", time: event.start)
            append(",\"args\":{\"goroutine\":")
            append(Int(event.number))
            if event.parent != 0 {
                append(",\"parent\":")
                append(Int(event.parent))
            }
            append("}}")
        case .complete:
            beginSlice("X", event, name: name)
            append(",\"ts\":", time: event.start)
            append(",\"dur\":", microseconds: event.end - event.start)
            appendArguments(event, ofBeginning: true, ofEnd: true)
            appendArrow(event, flow: flow)
        case .begin:
            beginSlice("B", event, name: name)
            append(",\"ts\":", time: event.start)
            appendArguments(event, ofBeginning: true, ofEnd: false)
            appendArrow(event, flow: flow)
        case .end:
            beginSlice("E", event, name: name)
            append(",\"ts\":", time: event.end)
            appendArguments(event, ofBeginning: false, ofEnd: true)
        }
    }

    private mutating func beginSlice(_ phase: StaticString, _ event: TraceEvent, name: String?) {
        switch event.activity {
        case .run:
            begin(phase, track: event.track)
            append(",\"name\":")
            if let name {
                append(quoted: name)
            } else {
                append("\"goroutine ")
                append(Int(event.number))
                append("\"")
            }
            append(",\"cat\":\"goroutine\"")
        case .blocking:
            begin(phase, "blocking call", track: event.track)
            append(",\"cat\":\"blocking\"")
        case .pollerWait:
            begin(phase, "waits for events", track: event.track)
            append(",\"cat\":\"poller\"")
        case .poll:
            begin(phase, "looks for events", track: event.track)
            append(",\"cat\":\"poller\"")
        case .timers:
            begin(phase, "timers", track: event.track)
            append(",\"cat\":\"timers\"")
        case .wake:
            begin(phase, "wakes", track: event.track)
            append(",\"cat\":\"wake\"")
        case .writing:
            begin(phase, "writes the trace", track: event.track)
            append(",\"cat\":\"trace\"")
        }
    }

    private mutating func appendArguments(_ event: TraceEvent, ofBeginning: Bool, ofEnd: Bool) {
        append(",\"args\":{")
        var separator: StaticString = ""
        switch event.activity {
        case .run, .blocking:
            if ofBeginning {
                append("\"goroutine\":")
                append(Int(event.number))
                if event.runnableSince != 0 {
                    append(",\"runnable_us\":", microseconds: event.start - event.runnableSince)
                }
                separator = ","
            }
            if ofEnd, event.ending != .none {
                append(separator)
                append("\"then\":\"")
                append(Self.words(event.ending))
                append("\"")
                if event.ending == .parks {
                    append(",\"reason\":")
                    append(quoted: event.reason.words)
                }
            }
        case .pollerWait, .poll, .timers:
            if ofEnd {
                append("\"woken\":")
                append(Int(event.number))
            }
        case .wake, .writing:
            break
        }
        append("}}")
    }

    /// From where the goroutine was started or woken to the beginning of its slice.
    private mutating func appendArrow(_ event: TraceEvent, flow: UInt64) {
        guard event.cause != .none else { return }
        let name: StaticString = event.cause == .started ? "start" : "wake"
        begin("s", name, track: event.causeTrack)
        append(",\"cat\":\"wake\",\"id\":")
        append(Int(flow))
        append(",\"ts\":", time: event.runnableSince)
        append("}")
        begin("f", name, track: event.track)
        append(",\"cat\":\"wake\",\"id\":")
        append(Int(flow))
        append(",\"bp\":\"e\"")
        append(",\"ts\":", time: event.start)
        append("}")
    }

    private static func words(_ ending: TraceEvent.Ending) -> StaticString {
        switch ending {
        case .none: ""
        case .parks: "parks"
        case .yields: "yields"
        case .ends: "ends"
        case .blocks: "blocks"
        case .isRunning: "is still running"
        }
    }

    // MARK: JSON

    private mutating func begin(_ phase: StaticString, track: UInt32) {
        append(",\n{\"ph\":\"")
        append(phase)
        append("\",\"pid\":")
        append(process)
        append(",\"tid\":")
        append(Int(track))
    }

    private mutating func begin(_ phase: StaticString, _ name: StaticString, track: UInt32) {
        begin(phase, track: track)
        append(",\"name\":\"")
        append(name)
        append("\"")
    }

    private mutating func append(_ text: StaticString) {
        unsafe bytes.append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func append(_ key: StaticString, time: Int64) {
        append(key, microseconds: time - origin)
    }

    /// Nanoseconds as microseconds with three decimals.
    private mutating func append(_ key: StaticString, microseconds nanoseconds: Int64) {
        append(key)
        let value = max(0, nanoseconds)
        append(Int(value / 1000))
        let fraction = Int(value % 1000)
        bytes.append(UInt8(ascii: "."))
        bytes.append(UInt8(ascii: "0") + UInt8(fraction / 100))
        bytes.append(UInt8(ascii: "0") + UInt8(fraction / 10 % 10))
        bytes.append(UInt8(ascii: "0") + UInt8(fraction % 10))
    }

    private mutating func append(_ number: Int) {
        var rest = number.magnitude
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        let start = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    private mutating func append(quoted text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20:
                append("\\u00")
                bytes.append(UInt8(ascii: "0") + byte >> 4)
                let digit = byte & 15
                bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            default:
                bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
