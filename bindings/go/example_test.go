package sharesock_test

import (
	"fmt"
	"net"
	"net/http"
	"os"

	sharesock "github.com/sharesock/sharesock/bindings/go"
)

// A source and a target, which here are one process.
func Example() {
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	client, _ := net.Dial("tcp", listener.Addr().String())
	accepted, _ := listener.Accept()

	info, err := sharesock.Share(accepted.(*net.TCPConn), os.Getpid())
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = accepted.Close() // The info is 628 bytes: send it over whatever you like.

	conn, err := sharesock.Conn(info)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(conn, "hello")
	_ = conn.Close()
	var text string
	_, _ = fmt.Fscan(client, &text)
	fmt.Println(len(info), text)
	// Output: 628 hello
}

// A worker: the server serves connections that another process accepted and handed off.
func ExampleReceiver() {
	receiver, err := sharesock.NewReceiver()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer receiver.Close()
	go http.Serve(receiver, http.NotFoundHandler())

	// The front, which here is the same process.
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	go func() {
		sender, err := sharesock.NewSender(os.Getpid())
		for err == nil {
			var conn net.Conn
			if conn, err = listener.Accept(); err == nil {
				err = sender.HandOff(conn, nil)
			}
		}
	}()
	response, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(response.StatusCode)
	// Output: 404
}
