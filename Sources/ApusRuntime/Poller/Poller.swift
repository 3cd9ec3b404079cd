// SPDX-License-Identifier: Apache-2.0
//
// The network poller, a part of the scheduler: idle workers wait in it, busy ones look at it now and then. The kernel's
// queue (epoll, kqueue) is behind the functions of Sources/CApus/poller_*.c; what an event does to a descriptor is in
// PollDescriptor.swift.
//
// One thread at most waits; its limit is the earliest timer. It is woken early when a worker is needed and no other
// thread is at hand, and when somebody adds a timer that is due before its limit.

import CApus
import Synchronization

struct Poller: ~Copyable {
    private let queue: Int32
    private let waker: Int32
    /// Descriptors that are registered: without any there is nothing to look at.
    let descriptorCount = Atomic<Int>(0)
    /// How often the poller was looked at. The monitor looks itself when nobody else does.
    let lookCount = Atomic<UInt64>(0)
    /// Events that the looks found.
    let eventCount = Atomic<UInt64>(0)

    init() {
        queue = apus_poller_open()
        waker = queue < 0 ? queue : apus_poller_open_waker(queue)
        if waker < 0 {
            fail("cannot open the network poller (error \(-waker)); raise the limit on open files (ulimit -n)")
        }
    }

    /// Ends the current wait, or the next one.
    func wake() {
        let result = apus_poller_wake(queue, waker)
        if result < 0 { fail("cannot wake the network poller (error \(-result))") }
    }

    /// Registers a descriptor once, for reading, and for writing too unless that is watched only at times. Zero or a
    /// negative error.
    func add(_ descriptor: Int32, token: UInt64, forWriting: Bool) -> Int32 {
        let result = apus_poller_add(queue, descriptor, token, forWriting)
        if result == 0 { descriptorCount.add(1, ordering: .relaxed) }
        return result
    }

    /// Begins or ends watching a registered descriptor for writing. Whether it is writable already is an event, too.
    func watchWriting(_ descriptor: Int32, token: UInt64, _ isOn: Bool) {
        let result = apus_poller_watch_writing(queue, descriptor, token, isOn)
        if result < 0 { fail("cannot watch a socket for writing (error \(-result))") }
    }

    func remove(_ descriptor: Int32) {
        _ = apus_poller_remove(queue, descriptor)
        descriptorCount.subtract(1, ordering: .relaxed)
    }

    /// Waits for at most `nanoseconds` (0: looks; negative: no limit) and adds the goroutines that can go on.
    func wait(nanoseconds: Int64, waking woken: inout GoroutineList) {
        let count = unsafe withUnsafeMutablePointer(to: &woken) { woken in
            unsafe apus_poller_wait(
                queue, waker, nanoseconds,
                { event, woken in
                    unsafe PollDescriptor.handle(
                        event, waking: &woken.assumingMemoryBound(to: GoroutineList.self).pointee)
                }, woken)
        }
        if count < 0 { fail("the network poller failed (error \(-count))") }
        lookCount.wrappingAdd(1, ordering: .relaxed)
        if count > 0 { eventCount.wrappingAdd(UInt64(count), ordering: .relaxed) }
    }
}

extension RecordReference where Record == SchedulerRecord {
    /// Waits in the poller until there are events, a timer is due, or somebody wakes it. The calling thread is the
    /// `pollingThread`.
    func waitInPoller(waking woken: inout GoroutineList) {
        var limit = earliestTimer
        while true {
            record.pollUntil.store(limit, ordering: .sequentiallyConsistent)
            // A timer that was added before the store found no poller, or one with another limit.
            let earliest = earliestTimer
            if earliest >= limit { break }
            limit = earliest
        }
        let nanoseconds = limit == .max ? -1 : waitingTime(until: limit)
        let trace = ThreadReference.current!.tracePhaseBegins(.pollerWait)
        record.poller.wait(nanoseconds: nanoseconds, waking: &woken)
        if let trace {
            woken.forEach { trace.noteRunnable($0, track: TraceTrack.poller) }
            trace.endPhase(count: woken.count)
        }
        record.pollUntil.store(.min, ordering: .sequentiallyConsistent)
    }

    /// How long the polling thread may wait for a timer that is due at `limit`.
    ///
    /// A timer that is due already needs a worker. While none is idle, the thread would come back without one, and wait
    /// again, and so on, at the expense of those who work: so it gives them a while. They look at the timers themselves.
    private func waitingTime(until limit: Int64) -> Int64 {
        let now = MonotonicTime.ofSystem.nanoseconds
        guard limit <= now else { return limit - now }
        guard idleCount == 0 else { return 0 }
        record.pollUntil.store(now + Self.patience, ordering: .sequentiallyConsistent)
        // A worker that becomes idle from here on sees the new limit: see `wakePollerForTimers`.
        return idleCount == 0 ? Self.patience : 0
    }

    private static var patience: Int64 { 1_000_000 }

    /// To be called after a worker has become idle, unless its thread goes into the poller itself: the thread that waits
    /// there may have given the workers more time than the timers have.
    func wakePollerForTimers() {
        if earliestTimer < record.pollUntil.load(ordering: .sequentiallyConsistent) { record.poller.wake() }
    }

    /// Makes what the poller woke runnable: on the worker, or for any.
    func distribute(_ woken: consuming GoroutineList, to worker: WorkerReference?) {
        guard !woken.isEmpty else { return }
        ThreadReference.currentOrAttached().record.counters.wakeUps.add(woken.count)
        guard let worker else {
            woken.forEach { noteRunnable($0) }
            pushGlobal(woken)
            wakeWorkerIfNeeded()
            return
        }
        let isMoreThanOne = woken.count > 1
        while let goroutine = woken.popFirst() {
            goroutine.record.waitNote.end()
            worker.pushBack(goroutine)
        }
        if isMoreThanOne { wakeWorkerIfNeeded() }
    }

    /// Looks at the poller in passing, if no thread waits in it. What it wakes goes to the global queue.
    func pollWithoutWaiting() {
        guard record.poller.descriptorCount.load(ordering: .relaxed) > 0,
            record.pollUntil.load(ordering: .relaxed) == .min
        else { return }
        let trace = ThreadReference.current?.tracePhaseBegins(.poll)
        var woken = GoroutineList()
        record.poller.wait(nanoseconds: 0, waking: &woken)
        let count = woken.count
        distribute(woken, to: nil)
        trace?.endPhase(count: count, isRecorded: count > 0)
    }
}
