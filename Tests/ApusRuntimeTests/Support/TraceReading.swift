// SPDX-License-Identifier: Apache-2.0
//
// Reads a trace as its readers do, and holds it to what must be true of every one.

import Foundation
import Testing

struct TraceContents {
    /// A slice; times in nanoseconds.
    struct Slice {
        var track: Int
        var start: Int
        /// `Int.max` when the trace ends before the slice does.
        var end: Int
        var name: String
        var category: String
        var arguments: [String: Any]

        var goroutine: Int? { arguments["goroutine"] as? Int }
        var then: String? { arguments["then"] as? String }
    }

    struct Arrow {
        var fromTrack: Int
        var from: Int
        var toTrack: Int
        var to: Int
        var name: String
    }

    var slices: [Slice] = []
    /// Goroutine, and when it was started, on which track.
    var creations: [Int: (time: Int, track: Int)] = [:]
    var arrows: [Arrow] = []
    var trackNames: [Int: String] = [:]
    /// What is wrong, in words.
    var complaints: [String] = []

    /// `isCut`: the process was killed, so the end may be missing.
    init(path: String, isCut: Bool = false) throws {
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        if isCut, let end = data.lastIndex(of: UInt8(ascii: "}")) {
            data = data[...end] + Data("]".utf8)
        }
        let events = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        read(events.filter { $0["ph"] as? String != "M" }, metadata: events.filter { $0["ph"] as? String == "M" })
        checkSlices()
        checkGoroutines(isCut: isCut)
        checkArrows(isCut: isCut)
    }

    private mutating func complain(_ words: String) { complaints.append(words) }

    private static func nanoseconds(_ value: Any?) -> Int? {
        (value as? Double).map { Int(($0 * 1000).rounded()) }
    }

    private mutating func read(_ events: [[String: Any]], metadata: [[String: Any]]) {
        for event in metadata where event["name"] as? String == "thread_name" {
            trackNames[event["tid"] as! Int] = ((event["args"] as! [String: Any])["name"] as! String)
        }
        if !metadata.contains(where: { $0["name"] as? String == "process_name" }) { complain("no process_name") }
        var open: [Int: [Slice]] = [:]
        var starts: [Int: [String: Any]] = [:]
        var ends: [Int: [String: Any]] = [:]
        // Ends are in the file after their beginnings.
        for event in events {
            guard let phase = event["ph"] as? String, let track = event["tid"] as? Int, event["pid"] is Int,
                let time = Self.nanoseconds(event["ts"]), time >= 0, let name = event["name"] as? String
            else {
                complain("incomplete: \(event)")
                continue
            }
            if trackNames[track] == nil { complain("track \(track) has no name") }
            let arguments = event["args"] as? [String: Any] ?? [:]
            let slice = Slice(
                track: track, start: time, end: .max, name: name, category: event["cat"] as? String ?? "",
                arguments: arguments)
            switch phase {
            case "X":
                guard let duration = Self.nanoseconds(event["dur"]), duration >= 0 else {
                    complain("no duration: \(event)")
                    continue
                }
                slices.append(slice)
                slices[slices.count - 1].end = time + duration
            case "B":
                open[track, default: []].append(slice)
            case "E":
                guard var beginning = open[track]?.popLast(), beginning.name == name else {
                    complain("nothing to end: \(event)")
                    continue
                }
                beginning.end = time
                beginning.arguments.merge(arguments) { $1 }
                slices.append(beginning)
            case "i":
                let goroutine = arguments["goroutine"] as? Int ?? -1
                if creations.updateValue((time, track), forKey: goroutine) != nil {
                    complain("goroutine \(goroutine) is started twice")
                }
            case "s":
                if starts.updateValue(event, forKey: event["id"] as! Int) != nil { complain("twice: \(event)") }
            case "f":
                if ends.updateValue(event, forKey: event["id"] as! Int) != nil { complain("twice: \(event)") }
                if event["bp"] as? String != "e" { complain("binds to the next slice: \(event)") }
            default:
                complain("unknown: \(event)")
            }
        }
        slices += open.values.flatMap { $0 }
        for (id, start) in starts {
            guard let end = ends.removeValue(forKey: id) else {
                complain("an arrow without an end: \(start)")
                continue
            }
            arrows.append(
                Arrow(
                    fromTrack: start["tid"] as! Int, from: Self.nanoseconds(start["ts"])!,
                    toTrack: end["tid"] as! Int, to: Self.nanoseconds(end["ts"])!, name: start["name"] as! String))
        }
        if !ends.isEmpty { complain("arrows without a beginning: \(ends)") }
    }

    private mutating func checkSlices() {
        slices.sort { ($0.track, $0.start, $1.end) < ($1.track, $1.start, $0.end) }
        var around: [Slice] = []
        for slice in slices {
            while let last = around.last, last.track != slice.track || last.end <= slice.start { around.removeLast() }
            if let last = around.last {
                if slice.end > last.end { complain("\(slice) overlaps \(last)") }
                if slice.category == "goroutine" { complain("\(slice) runs inside \(last)") }
            }
            around.append(slice)
            if slice.category == "goroutine", !(trackNames[slice.track] ?? "").hasPrefix("worker ") {
                complain("\(slice) runs on \(trackNames[slice.track] ?? "nothing")")
            }
        }
    }

    private mutating func checkGoroutines(isCut: Bool) {
        let ofGoroutines = slices.filter { $0.category == "goroutine" || $0.category == "blocking" }
        for (goroutine, runs) in Dictionary(grouping: ofGoroutines, by: { $0.goroutine ?? -1 }) {
            let runs = runs.sorted { $0.start < $1.start }
            if let creation = creations[goroutine] {
                if creation.time > runs[0].start { complain("goroutine \(goroutine) runs before it is started") }
            } else {
                complain("nobody has started goroutine \(goroutine)")
            }
            for (before, after) in zip(runs, runs.dropFirst()) {
                if before.end > after.start { complain("goroutine \(goroutine) is at two places: \(before), \(after)") }
                if before.then == "ends" { complain("goroutine \(goroutine) goes on after its end: \(after)") }
            }
            for run in runs where run.category == "goroutine" {
                if run.then == nil, !isCut { complain("how did \(run) end?") }
                if run.then == "parks", run.arguments["reason"] as? String ?? "" == "" {
                    complain("what does \(run) wait for?")
                }
            }
        }
    }

    private mutating func checkArrows(isCut: Bool) {
        let slicesByTrack = Dictionary(grouping: slices, by: \.track)
        for arrow in arrows {
            if arrow.from > arrow.to { complain("\(arrow) leads back in time") }
            if !(slicesByTrack[arrow.toTrack] ?? []).contains(where: { $0.start == arrow.to }) {
                complain("\(arrow) leads to no slice")
            }
            if !isCut,
                !(slicesByTrack[arrow.fromTrack] ?? []).contains(where: {
                    $0.start <= arrow.from && arrow.from <= $0.end
                })
            {
                complain("\(arrow) comes from no slice")
            }
        }
    }
}
