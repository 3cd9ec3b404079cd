// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

// skynet is the benchmark of that name: every actor starts ten others until a leaf is reached, leaves send their
// number, and every level sends the sum of what it received.
func skynet(result chan int, number, size int) {
	if size == 1 {
		result <- number
		return
	}
	children := make(chan int)
	for child := range 10 {
		go skynet(children, number+child*(size/10), size/10)
	}
	sum := 0
	for range 10 {
		sum += <-children
	}
	result <- sum
}

func runSkynet(size int) {
	result := make(chan int)
	go skynet(result, 0, size)
	if sum := <-result; sum != size*(size-1)/2 {
		panic("skynet: wrong sum")
	}
}

// skynetTree reports the process's first tree, which has to get all its memory, and those that follow apart.
func skynetTree() {
	watch := startStopwatch()
	runSkynet(*actors)
	wall, cpu := watch.elapsed()
	peak := fmt.Sprintf(`,"actors":%d,"peak_kilobytes":%d`, *actors, readMemory().peakKilobytes)
	report("skynet-first", 1, wall, cpu, peak)

	runs := max(1, int(*sampleSeconds/wall.Seconds()))
	watch = startStopwatch()
	for range runs {
		runSkynet(*actors)
	}
	wall, cpu = watch.elapsed()
	peak = fmt.Sprintf(`,"actors":%d,"peak_kilobytes":%d`, *actors, readMemory().peakKilobytes)
	report("skynet", runs, wall, cpu, peak)
}

// idleGoroutines keeps all goroutines alive at once, each parked in a receive, and reports what one of them occupies.
func idleGoroutines() {
	count := *idle
	gate := make(chan struct{})
	var parking, finished sync.WaitGroup
	parking.Add(count)
	finished.Add(count)
	runtime.GC()
	before := readMemory()

	watch := startStopwatch()
	for range count {
		go func() {
			parking.Done()
			<-gate
			finished.Done()
		}()
	}
	parking.Wait()
	startWall, startCPU := watch.elapsed()
	// The last ones are still on their way from Done to the receive.
	time.Sleep(200 * time.Millisecond)
	after := readMemory()

	watch = startStopwatch()
	close(gate)
	finished.Wait()
	endWall, endCPU := watch.elapsed()

	grown := after.residentKilobytes + after.pageTableKilobytes - before.residentKilobytes - before.pageTableKilobytes
	report("idle-goroutines", count, startWall+endWall, startCPU+endCPU, fmt.Sprintf(
		`,"bytes_per_goroutine":%.0f,"mappings":%d,"resident_kilobytes":%d,"page_table_kilobytes":%d,`+
			`"start_nanoseconds_per_operation":%.2f,"end_nanoseconds_per_operation":%.2f`,
		float64(grown)*1024/float64(count), after.mappings, after.residentKilobytes, after.pageTableKilobytes,
		float64(startWall)/float64(count), float64(endWall)/float64(count)))
}
