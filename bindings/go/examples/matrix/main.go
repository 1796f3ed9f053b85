// The program of Go in bindings/matrix/run of the repository: it shares its standard input with a process in any language, or
// takes a socket from one.
package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"

	sharesock "github.com/sharesock/sharesock/bindings/go"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: matrix source WAY PID | matrix target KIND WAY")
	}
	run := target
	if os.Args[1] == "source" {
		run = source
	}
	if err := run(os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func source(way, target string) error {
	pid, err := strconv.Atoi(target)
	if err != nil {
		return err
	}
	if way == "info" {
		info, err := sharesock.Share(os.Stdin, pid)
		fmt.Println(hex.EncodeToString(info))
		return err
	}
	sender, err := sharesock.NewSender(pid)
	if err != nil {
		return err
	}
	return sender.HandOff(os.Stdin, nil)
}

func target(kind, way string) error {
	receiver, err := sharesock.NewReceiver()
	if err != nil {
		return err
	}
	fmt.Println(os.Getpid())
	var line string
	_, _ = fmt.Scanln(&line)
	conn, err := take(receiver, kind, way, line)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(conn, "from the target")
	return err
}

func take(receiver *sharesock.Receiver, kind, way, line string) (net.Conn, error) {
	if way == "info" {
		info, err := hex.DecodeString(line)
		if err != nil {
			return nil, err
		}
		if kind != "listener" {
			return sharesock.Conn(info)
		}
		listener, err := sharesock.Listener(info)
		if err != nil {
			return nil, err
		}
		return listener.Accept()
	}
	parcel, err := receiver.Receive(context.Background())
	if err != nil {
		return nil, err
	}
	if kind != "listener" {
		return parcel.Conn()
	}
	listener, err := parcel.Listener()
	if err != nil {
		return nil, err
	}
	return listener.Accept()
}
