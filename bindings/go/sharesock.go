// Package sharesock shares live sockets between processes, in Go without cgo: with other Go programs, and with programs in any
// language that use sharesock.
//
// A source duplicates a socket for a target process and gets 628 plain bytes, an info; whatever way these take, the target
// redeems them for one more descriptor of the same underlying socket. Or a sender hands a connection off, with the input that
// it has read, to a process whose [Receiver] is the [net.Listener] of an unmodified server.
//
// The functions of the package use the endpoint of this process in the default domain ($SHARESOCK_DOMAIN, else a directory of
// this user), which they open when they are first called. A target that calls [Default] when it starts is ready from then on.
//
// All who share a socket have its mode in common, and Go's sockets do not block: those who share it see that.
//
// Linux 5.10 or later, on amd64, arm64, riscv64 and loong64.
package sharesock

import (
	"context"
	"net"
	"sync"
	"syscall"
)

var byDefault struct {
	sync.Mutex
	endpoint *Endpoint
}

// Default is the endpoint of this process in the default domain, which is opened at the first call and stays open.
func Default() (*Endpoint, error) {
	byDefault.Lock()
	defer byDefault.Unlock()
	if byDefault.endpoint == nil {
		endpoint, err := Open("")
		if err != nil {
			return nil, err
		}
		byDefault.endpoint = endpoint
	}
	return byDefault.endpoint, nil
}

func withDefault[T any](act func(*Endpoint) (T, error)) (T, error) {
	endpoint, err := Default()
	if err != nil {
		var none T
		return none, err
	}
	return act(endpoint)
}

// Share is [Endpoint.Share] of the default endpoint, for the process with this id.
func Share(socket syscall.Conn, pid int, options ...Option) ([]byte, error) {
	return withDefault(func(e *Endpoint) ([]byte, error) { return e.Share(socket, PID(pid), options...) })
}

// Conn is [Endpoint.Conn] of the default endpoint.
func Conn(info []byte) (net.Conn, error) { return ConnContext(context.Background(), info) }

// ConnContext is [Endpoint.ConnContext] of the default endpoint.
func ConnContext(ctx context.Context, info []byte) (net.Conn, error) {
	return withDefault(func(e *Endpoint) (net.Conn, error) { return e.ConnContext(ctx, info) })
}

// Listener is [Endpoint.Listener] of the default endpoint.
func Listener(info []byte) (net.Listener, error) { return ListenerContext(context.Background(), info) }

// ListenerContext is [Endpoint.ListenerContext] of the default endpoint.
func ListenerContext(ctx context.Context, info []byte) (net.Listener, error) {
	return withDefault(func(e *Endpoint) (net.Listener, error) { return e.ListenerContext(ctx, info) })
}

// PacketConn is [Endpoint.PacketConn] of the default endpoint.
func PacketConn(info []byte) (net.PacketConn, error) {
	return PacketConnContext(context.Background(), info)
}

// PacketConnContext is [Endpoint.PacketConnContext] of the default endpoint.
func PacketConnContext(ctx context.Context, info []byte) (net.PacketConn, error) {
	return withDefault(func(e *Endpoint) (net.PacketConn, error) { return e.PacketConnContext(ctx, info) })
}

// NewSender is [Endpoint.NewSender] of the default endpoint, to the process with this id.
func NewSender(pid int, options ...Option) (*Sender, error) {
	return withDefault(func(e *Endpoint) (*Sender, error) { return e.NewSender(PID(pid), options...) })
}

// NewReceiver is [Endpoint.NewReceiver] of the default endpoint.
func NewReceiver(options ...Option) (*Receiver, error) {
	return withDefault(func(e *Endpoint) (*Receiver, error) { return e.NewReceiver(options...) })
}

// Flush is [Endpoint.Flush] of the default endpoint: call it before a source ends whose targets may not have had an endpoint.
func Flush(ctx context.Context) error {
	_, err := withDefault(func(e *Endpoint) (struct{}, error) { return struct{}{}, e.Flush(ctx) })
	return err
}
