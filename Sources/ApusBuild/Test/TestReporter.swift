// SPDX-License-Identifier: Apache-2.0
//
// Says what happens, in the order of the targets: several may run at the same time, and their lines must not be mixed. The
// one whose turn it is speaks as it goes; the others' words wait. With `-json` each line says whose it is, so none waits.

internal import FoundationEssentials
internal import Synchronization

/// Shows the run of all targets.
final class TestReporter: Sendable {
    private struct State {
        var speakers: [String: Speaker]
        /// Of the targets, the first that has not finished.
        var turn = 0
    }

    private struct Speaker {
        var report: TestTextReport
        var events: GoTestEvents
        var waiting = ""
        var lines: [String] = []
        var isDone = false
        var ended = 0
    }

    private let targets: [String]
    private let options: TestOptions
    private let console: Console
    private let counts: [String: Int]
    private let state: Mutex<State>

    /// - Parameter counts: How many tests each target runs, for the line of progress.
    init(targets: [String], counts: [String: Int], options: TestOptions, console: Console) {
        self.targets = targets
        self.counts = counts
        self.options = options
        self.console = console
        let processors = Machine.processors
        state = Mutex(
            State(
                speakers: Dictionary(
                    uniqueKeysWithValues: targets.map { target in
                        let events = GoTestEvents(target: target, isCached: false, processors: processors)
                        return (target, Speaker(report: TestTextReport(processors: processors), events: events))
                    })))
    }

    func begin(_ target: String) {
        guard options.json else { return }
        state.withLock { say([$0.speakers[target]?.events.start(at: Date().timeIntervalSince1970)]) }
    }

    func take(_ target: String, _ record: TestRecord) {
        state.withLock { state in
            if options.json { return say(state.speakers[target]?.events.events(record) ?? []) }
            if options.isVerbose {
                let text = state.speakers[target]?.report.verbose(record.event) ?? ""
                state.speakers[target]?.waiting += text
                speak(&state)
            }
            if case .ended = record.event {
                state.speakers[target]?.ended += 1
                guard state.turn < targets.count, targets[state.turn] == target else { return }
                console.progress("\(target) \(state.speakers[target]?.ended ?? 0)/\(counts[target] ?? 0)")
            }
        }
    }

    /// A target is done; or it was not begun, and an earlier result holds.
    func finish(_ result: TestTargetResult) {
        state.withLock { state in
            guard var speaker = state.speakers[result.target] else { return }
            if options.json { return finish(result, &speaker.events) }
            if !options.isVerbose {
                speaker.waiting += speaker.report.brief(result)
            } else if result.isCached {
                for record in result.records { speaker.waiting += speaker.report.verbose(record.event) }
            }
            speaker.lines = TestTextReport.summary(result, isVerbose: options.isVerbose)
            speaker.isDone = true
            state.speakers[result.target] = speaker
            speak(&state)
        }
    }

    private func finish(_ result: TestTargetResult, _ events: inout GoTestEvents) {
        let now = Date().timeIntervalSince1970
        if result.isCached {
            events = GoTestEvents(target: result.target, isCached: true, processors: Machine.processors)
            say([events.start(at: now)])
            for record in result.records { say(events.events(record)) }
        }
        say(events.end(result, at: now))
    }

    private func say(_ events: [GoTestEvent?]) {
        for case let event? in events { console.result(event.line) }
    }

    /// Says what waits, as far as it is somebody's turn.
    private func speak(_ state: inout State) {
        while state.turn < targets.count {
            let target = targets[state.turn]
            guard let speaker = state.speakers[target] else { return }
            // (It ends with a line break, as the console's lines do.)
            if !speaker.waiting.isEmpty { console.result(String(speaker.waiting.dropLast())) }
            state.speakers[target]?.waiting = ""
            guard speaker.isDone else { return }
            for line in speaker.lines { console.result(line) }
            state.turn += 1
        }
    }
}
