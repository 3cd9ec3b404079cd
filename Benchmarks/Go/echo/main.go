// SPDX-License-Identifier: Apache-2.0

// The echo server as a Go user writes it: a goroutine for each connection, with a buffer of its own.
//
//	go-echo [-host 127.0.0.1] [-port 0] [-buffer BYTES]
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

func serve(connection net.Conn, bufferBytes int) {
	defer connection.Close()
	buffer := make([]byte, bufferBytes)
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "port to listen on; 0 picks one")
	bufferBytes := flag.Int("buffer", 1024, "bytes read at once")
	flag.Parse()
	listener, err := net.Listen("tcp", net.JoinHostPort(*host, strconv.Itoa(*port)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-echo:", err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	for {
		connection, err := listener.Accept()
		if err != nil {
			// Out of descriptors, mostly: the server goes on when there are some again.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serve(connection, *bufferBytes)
	}
}
