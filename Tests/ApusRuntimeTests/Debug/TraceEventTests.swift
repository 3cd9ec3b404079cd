// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("Trace events")
struct TraceEventTests {
    private func text(_ event: TraceEvent, name: String? = nil) -> String {
        var text = TraceText(process: 42, origin: 1_000_000)
        text.append(event, name: name, flow: 7)
        return String(decoding: text.bytes, as: UTF8.self)
    }

    private func run(_ ending: TraceEvent.Ending, reason: WaitReason = .none) -> TraceEvent {
        var event = TraceEvent(activity: .run, track: 3, start: 3_234_567)
        event.end = 3_234_999
        event.number = 17
        event.ending = ending
        event.reason = reason
        return event
    }

    @Test("A goroutine's run")
    func runs() {
        #expect(
            text(run(.yields)) == """
                ,
                {"ph":"X","pid":42,"tid":3,"name":"goroutine 17","cat":"goroutine","ts":2234.567,"dur":0.432,\
                "args":{"goroutine":17,"then":"yields"}}
                """)
        #expect(text(run(.parks, reason: .channelReceive)).contains(#""then":"parks","reason":"channel receive"}"#))
        #expect(text(run(.ends), name: #"a "b" \ c"# + "\n\u{1f}é").contains(#""name":"a \"b\" \\ c\u000a\u001fé""#))
    }

    @Test("A run with the arrow that leads to it")
    func arrows() {
        var event = run(.ends)
        event.cause = .woken
        event.causeTrack = 5
        event.runnableSince = 1_000_001
        #expect(
            text(event) == """
                ,
                {"ph":"X","pid":42,"tid":3,"name":"goroutine 17","cat":"goroutine","ts":2234.567,"dur":0.432,\
                "args":{"goroutine":17,"runnable_us":2234.566,"then":"ends"}},
                {"ph":"s","pid":42,"tid":5,"name":"wake","cat":"wake","id":7,"ts":0.001},
                {"ph":"f","pid":42,"tid":3,"name":"wake","cat":"wake","id":7,"bp":"e","ts":2234.567}
                """)
        event.phase = .begin
        event.cause = .started
        #expect(text(event).hasPrefix(",\n{\"ph\":\"B\",\"pid\":42,\"tid\":3,\"name\":\"goroutine 17\""))
        #expect(text(event).contains(#""args":{"goroutine":17,"runnable_us":2234.566}},"#))
        #expect(text(event).contains(#""ph":"f","pid":42,"tid":3,"name":"start""#))
        event.phase = .end
        #expect(
            text(event) == """
                ,
                {"ph":"E","pid":42,"tid":3,"name":"goroutine 17","cat":"goroutine","ts":2234.999,"args":{"then":"ends"}}
                """)
    }

    @Test("A goroutine is started")
    func creations() {
        var event = TraceEvent(activity: .wake, track: 10_002, start: 1_000_000)
        event.phase = .created
        event.number = 18
        #expect(
            text(event) == """
                ,
                {"ph":"i","pid":42,"tid":10002,"name":"go","cat":"goroutine","s":"t","ts":0.000,"args":{"goroutine":18}}
                """)
        event.parent = 17
        #expect(text(event).hasSuffix(#""args":{"goroutine":18,"parent":17}}"#))
    }

    @Test("Slices of threads, the poller, timers")
    func others() {
        var event = TraceEvent(activity: .pollerWait, track: TraceTrack.poller, start: 1_000_000)
        event.end = 1_001_000
        event.number = 2
        #expect(
            text(event) == """
                ,
                {"ph":"X","pid":42,"tid":5000,"name":"waits for events","cat":"poller","ts":0.000,"dur":1.000,\
                "args":{"woken":2}}
                """)
        event.activity = .timers
        #expect(text(event).contains(#""name":"timers","cat":"timers""#))
        event.activity = .blocking
        #expect(
            text(event).contains(
                #""name":"blocking call","cat":"blocking","ts":0.000,"dur":1.000,"args":{"goroutine":2}"#))
        event.activity = .wake
        #expect(text(event).hasSuffix(#""args":{}}"#))
    }

    @Test("The frame of a file")
    func frame() {
        var text = TraceText(process: 42, origin: 0)
        text.appendHeader(program: "server")
        text.appendName(ofTrack: TraceTrack.worker(0))
        text.appendFooter()
        #expect(
            String(decoding: text.bytes, as: UTF8.self) == """
                [
                {"ph":"M","name":"process_name","pid":42,"args":{"name":"server"}},
                {"ph":"M","pid":42,"tid":1,"name":"thread_name","args":{"name":"worker 0"}},
                {"ph":"M","pid":42,"tid":1,"name":"thread_sort_index","args":{"sort_index":1}}
                ]

                """)
    }

    @Test("Tracks do not collide")
    func tracks() {
        #expect(TraceTrack.name(TraceTrack.worker(0)) == "worker 0")
        #expect(TraceTrack.worker(SchedulerRecord.maximumWorkers - 1) < TraceTrack.poller)
        #expect(TraceTrack.name(TraceTrack.worker(SchedulerRecord.maximumWorkers - 1)) == "worker 4095")
        #expect(TraceTrack.name(TraceTrack.poller) == "poller")
        #expect(TraceTrack.name(TraceTrack.monitor) == "monitor")
        #expect(TraceTrack.name(TraceTrack.thread(7)) == "thread 7")
    }
}
