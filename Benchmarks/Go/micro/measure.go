// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// stopwatch reads the wall clock and the CPU time of the whole process, so that work on other threads counts.
type stopwatch struct {
	wall time.Time
	cpu  time.Duration
}

func startStopwatch() stopwatch {
	return stopwatch{wall: time.Now(), cpu: processCPU()}
}

func (s stopwatch) elapsed() (wall, cpu time.Duration) {
	return time.Since(s.wall), processCPU() - s.cpu
}

func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func report(name string, iterations int, wall, cpu time.Duration, extra string) {
	count := float64(iterations)
	fmt.Printf(`{"name":"%s","iterations":%d,"nanoseconds_per_operation":%.2f,"cpu_nanoseconds_per_operation":%.2f%s}`,
		name, iterations, float64(wall)/count, float64(cpu)/count, extra)
	fmt.Println()
}

// measure warms the loop up with ever longer runs until their length says how many iterations fill the sample.
func measure(name string, iterations int, loop func(iterations int)) {
	wanted := time.Duration(*sampleSeconds * float64(time.Second))
	for {
		watch := startStopwatch()
		loop(iterations)
		wall, _ := watch.elapsed()
		if wall >= wanted/4 {
			iterations = max(1, int(float64(iterations)*float64(wanted)/float64(wall)))
			break
		}
		iterations *= 2
	}
	// As package testing does: garbage of the warm-up is not the sample's.
	runtime.GC()
	watch := startStopwatch()
	loop(iterations)
	wall, cpu := watch.elapsed()
	report(name, iterations, wall, cpu, "")
}

// memory is what the process occupies: resident pages and the page tables that map them.
type memory struct {
	residentKilobytes, pageTableKilobytes, peakKilobytes, mappings int
}

func readMemory() memory {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	return memory{
		residentKilobytes:  statusValue(string(status), "VmRSS"),
		pageTableKilobytes: statusValue(string(status), "VmPTE"),
		peakKilobytes:      statusValue(string(status), "VmHWM"),
		mappings:           strings.Count(string(maps), "\n"),
	}
}

func statusValue(status, key string) (value int) {
	for line := range strings.SplitSeq(status, "\n") {
		if rest, found := strings.CutPrefix(line, key+":"); found {
			fmt.Sscan(rest, &value)
		}
	}
	return value
}
