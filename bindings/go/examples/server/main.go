// A front and its workers: the front accepts, and hands each connection off to one of the workers, in turn. Each worker is an
// unmodified net/http server whose listener is a receiver. A worker that is killed loses what it was serving, and nothing else.
//
//	go run ./examples/server -listen 127.0.0.1:8080 -workers 2
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"

	sharesock "github.com/sharesock/sharesock/bindings/go"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to accept connections at")
	workers := flag.Int("workers", 2, "number of worker processes")
	isWorker := flag.Bool("worker", false, "serve what is handed off (the front starts workers so)")
	flag.Parse()
	if *isWorker {
		log.Fatal(work())
	}
	log.Fatal(front(*listen, *workers))
}

func work() error {
	receiver, err := sharesock.NewReceiver()
	if err != nil {
		return err
	}
	fmt.Println("ready")
	go func() {
		// The end of the standard input is the end of the front.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(receiver, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "process %d serves %s\n", os.Getpid(), r.URL.Path)
	}))
}

func front(address string, workers int) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	senders := make([]*sharesock.Sender, workers)
	for n := range senders {
		if senders[n], err = start(); err != nil {
			return err
		}
	}
	fmt.Printf("http://%s/\n", listener.Addr())
	for n := 0; ; n = (n + 1) % workers {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		for senders[n].HandOff(conn, nil) != nil {
			// That worker has ended: what it did not take goes to the next one, with this.
			left, err := senders[n].Reclaim()
			if err != nil {
				return err
			}
			if senders[n], err = start(); err != nil {
				return err
			}
			for _, parcel := range left {
				if conn, err := parcel.Conn(); err == nil {
					_ = senders[n].HandOff(conn, parcel.Bytes)
				}
			}
		}
	}
}

// start starts a worker, and waits until it can receive.
func start() (*sharesock.Sender, error) {
	worker := exec.Command(os.Args[0], "-worker")
	worker.Stderr = os.Stderr
	if _, err := worker.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := worker.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := worker.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("the worker ended before it was ready: %w", err)
	}
	go worker.Wait()
	return sharesock.NewSender(worker.Process.Pid)
}
