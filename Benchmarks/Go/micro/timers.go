// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// timersSetAndStopped sets a million timers, none of which comes to fire, and stops them all; an operation is one timer.
// Functions, since a timer with a channel that nobody receives from is in no heap in Go, and costs only its memory.
func timersSetAndStopped() {
	count := *timers
	// Before the measured part, so that neither the heap's array nor the collector's first steps are in it.
	setAndStop(make([]*time.Timer, count))

	watch := startStopwatch()
	setAndStop(make([]*time.Timer, count))
	wall, cpu := watch.elapsed()
	report("timers", count, wall, cpu, "")
}

func setAndStop(timers []*time.Timer) {
	sequence := uint64(1)
	for index := range timers {
		timers[index] = time.AfterFunc(scatteredDelay(&sequence), func() { panic("timers: one fired") })
	}
	for _, timer := range timers {
		check(timer.Stop(), "timers: one was stopped already")
	}
}

// scatteredDelay is between one and two hours, in an order that suits no heap (Knuth's MMIX generator).
func scatteredDelay(sequence *uint64) time.Duration {
	*sequence = *sequence*6364136223846793005 + 1442695040888963407
	return time.Hour + time.Duration(*sequence>>33)%time.Hour
}

// sleepLateness sleeps 200 us, one after the other, with nothing else to do: how much later than asked it goes on.
func sleepLateness() {
	const asked = 200 * time.Microsecond
	samples := int(*sampleSeconds * 2500)
	lateness := make([]float64, samples)
	watch := startStopwatch()
	for index := range lateness {
		start := time.Now()
		time.Sleep(asked)
		lateness[index] = float64(time.Since(start)-asked) / 1000
	}
	wall, cpu := watch.elapsed()
	slices.Sort(lateness)
	check(lateness[0] >= 0, "sleep-lateness: one came too early")
	report("sleep-lateness", samples, wall, cpu, fmt.Sprintf(
		`,"median_microseconds":%.2f,"p99_microseconds":%.2f`, lateness[samples/2], lateness[samples*99/100]))
}
