// SPDX-License-Identifier: Apache-2.0

// The plaintext server as a Go user writes it with net/http, which adds Date and Content-Length itself. With -directory
// it serves that folder's files instead.
//
//	go-http [-host 127.0.0.1] [-port 0] [-directory FOLDER]
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
)

var hello = []byte("Hello, World!")

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "port to listen on; 0 picks one")
	directory := flag.String("directory", "", "folder whose files are served in place of the greeting")
	flag.Parse()

	mux := http.NewServeMux()
	if *directory != "" {
		mux.Handle("GET /", http.FileServer(http.Dir(*directory)))
	} else {
		mux.HandleFunc("GET /{$}", func(response http.ResponseWriter, request *http.Request) {
			response.Header().Set("Content-Type", "text/plain")
			response.Write(hello)
		})
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(*host, strconv.Itoa(*port)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-http:", err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	fmt.Fprintln(os.Stderr, "go-http:", http.Serve(listener, mux))
	os.Exit(1)
}
