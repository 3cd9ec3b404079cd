// SPDX-License-Identifier: Apache-2.0

// The UDP echo server as a Go user writes it: for each processor a socket that shares the port (SO_REUSEPORT), and a
// goroutine that reads a packet and writes it back, with the calls that do not allocate. (Goroutines that share one
// socket wait for its lock: on two processors that was dearer by a fifth.)
//
//	go-udp-echo [-host 127.0.0.1] [-port 0] [-buffer BYTES]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
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

// Not among the constants of the package syscall.
const soReusePort = 0xf

func listen(address string) (*net.UDPConn, error) {
	configuration := net.ListenConfig{Control: func(network, address string, raw syscall.RawConn) error {
		var err error
		controlErr := raw.Control(func(descriptor uintptr) {
			err = syscall.SetsockoptInt(int(descriptor), syscall.SOL_SOCKET, soReusePort, 1)
		})
		return errors.Join(controlErr, err)
	}}
	socket, err := configuration.ListenPacket(context.Background(), "udp4", address)
	if err != nil {
		return nil, err
	}
	return socket.(*net.UDPConn), nil
}

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "port to listen on; 0 picks one")
	bufferBytes := flag.Int("buffer", 2048, "bytes read at once")
	flag.Parse()
	address := net.JoinHostPort(*host, strconv.Itoa(*port))
	var serving sync.WaitGroup
	for index := range runtime.GOMAXPROCS(0) {
		socket, err := listen(address)
		if err != nil {
			fmt.Fprintln(os.Stderr, "go-udp-echo:", err)
			os.Exit(1)
		}
		if index == 0 {
			// The others share the port that the first one got.
			address = socket.LocalAddr().String()
			fmt.Printf("listening on %s\n", address)
		}
		serving.Go(func() { serve(socket, *bufferBytes) })
	}
	serving.Wait()
	os.Exit(1)
}
