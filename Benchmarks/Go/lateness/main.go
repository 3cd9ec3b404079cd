// SPDX-License-Identifier: Apache-2.0

// How much later than asked a sleep ends, and what it costs: the distribution for some durations. The same program for
// Apus is ../../Sources/apus-lateness.
//
//	go run ./lateness [SECONDS]
package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

var durations = []time.Duration{
	20 * time.Microsecond, 50 * time.Microsecond, 200 * time.Microsecond, time.Millisecond, 10 * time.Millisecond,
	100 * time.Millisecond, time.Second,
}

func cpuMicroseconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1000
}

// measure sleeps one after the other, alone, for about so many seconds.
func measure(asked time.Duration, seconds float64) {
	count := max(5, int(seconds/(asked.Seconds()+0.0001)))
	lateness := make([]float64, 0, count)
	cpuBefore := cpuMicroseconds()
	for range count {
		start := time.Now()
		time.Sleep(asked)
		lateness = append(lateness, float64(time.Since(start)-asked)/1000)
	}
	cpu := (cpuMicroseconds() - cpuBefore) / float64(count)
	slices.Sort(lateness)
	quantile := func(share float64) float64 { return lateness[min(count-1, int(float64(count)*share))] }
	fmt.Printf("%11.1f%11d%11.1f%11.1f%11.1f%11.1f%11.1f%11.1f\n", float64(asked)/1000, count,
		quantile(0), quantile(0.5), quantile(0.9), quantile(0.99), quantile(1), cpu)
}

func main() {
	seconds := 1.0
	if len(os.Args) > 1 {
		if given, err := strconv.ParseFloat(os.Args[1], 64); err == nil {
			seconds = given
		}
	}
	fmt.Printf("%11s%11s%11s%11s%11s%11s%11s%11s\n", "asked, us", "sleeps", "least late", "median", "p90", "p99", "most", "CPU, us")
	for _, asked := range durations {
		measure(asked, seconds)
	}
}
