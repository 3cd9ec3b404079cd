// SPDX-License-Identifier: Apache-2.0

// The micro benchmarks in Go, one subcommand each: the same loops as ../../Sources/apus-bench, written as a Go user
// writes them. Prints one line of JSON for each measurement. GOMAXPROCS sets the processors, as in every Go program.
//
//	go-micro [-seconds 0.4] [-actors 1000000] [-goroutines 1000000] [-timers 1000000] BENCHMARK...
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

var (
	sampleSeconds = flag.Float64("seconds", 0.4, "how long one measured loop takes, roughly")
	actors        = flag.Int("actors", 1_000_000, "leaves of the skynet tree, a power of ten")
	idle          = flag.Int("goroutines", 1_000_000, "goroutines that idle-goroutines keeps alive at once")
	timers        = flag.Int("timers", 1_000_000, "timers that are set before the first is stopped")
)

var benchmarks = map[string]func(){
	"spawn-join":      spawnJoin,
	"yield":           yield,
	"yield-switch":    yieldSwitch,
	"ping-pong":       pingPong,
	"buffered":        buffered,
	"skynet":          skynetTree,
	"idle-goroutines": idleGoroutines,
	"mutex-contended": mutexContended,
	"mutex-handover":  mutexHandover,
	"rwmutex-read":    rwMutexRead,
	"rwmutex-readers": rwMutexReaders,
	"select-ready":    selectReady,
	"select-default":  selectDefault,
	"select-wait":     selectWait,
	"timers":          timersSetAndStopped,
	"sleep-lateness":  sleepLateness,
	"sieve":           primeSieve,
	"power-series":    powerSeries,
}

func main() {
	flag.Parse()
	if flag.NArg() == 0 {
		names := slices.Sorted(maps.Keys(benchmarks))
		fmt.Fprintln(os.Stderr, "go-micro: which benchmark?", strings.Join(names, " "))
		os.Exit(2)
	}
	for _, name := range flag.Args() {
		benchmark, found := benchmarks[name]
		if !found {
			fmt.Fprintf(os.Stderr, "go-micro: there is no benchmark %q\n", name)
			os.Exit(2)
		}
		benchmark()
	}
}
