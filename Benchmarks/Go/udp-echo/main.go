// SPDX-License-Identifier: Apache-2.0

// The UDP echo server as a Go user writes it: one socket, and a goroutine for each processor that reads a packet and
// writes it back, with the calls that do not allocate.
//
//	go-udp-echo [-host 127.0.0.1] [-port 0] [-buffer BYTES]
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
)

func serve(socket *net.UDPConn, bufferBytes int) {
	buffer := make([]byte, bufferBytes)
	for {
		count, sender, err := socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			fmt.Fprintln(os.Stderr, "go-udp-echo:", err)
			return
		}
		// A packet that cannot be sent is lost, as any packet may be.
		socket.WriteToUDPAddrPort(buffer[:count], sender)
	}
}

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "port to listen on; 0 picks one")
	bufferBytes := flag.Int("buffer", 2048, "bytes read at once")
	flag.Parse()
	address, err := net.ResolveUDPAddr("udp4", net.JoinHostPort(*host, strconv.Itoa(*port)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-udp-echo:", err)
		os.Exit(1)
	}
	socket, err := net.ListenUDP("udp4", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-udp-echo:", err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", socket.LocalAddr())
	var serving sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		serving.Go(func() { serve(socket, *bufferBytes) })
	}
	serving.Wait()
	os.Exit(1)
}
