package sharesock

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
)

// Parcel is a socket that was handed off, with the bytes that came with it. One of Conn, Listener, PacketConn, File and Close
// is to be called, once.
type Parcel struct {
	// Bytes are what the sender sent along: unread input, or what else the two have agreed upon.
	Bytes []byte
	// Source is who sent it, by the kernel's word; nil if the kernel does not tell any more.
	Source *Process
	fd     atomic.Int64
}

func newParcel(fd int, bytes []byte, source *Process) *Parcel {
	p := &Parcel{Bytes: bytes, Source: source}
	p.fd.Store(int64(fd))
	// A parcel that is dropped closes its socket.
	runtime.SetFinalizer(p, func(p *Parcel) { _ = p.Close() })
	return p
}

func (p *Parcel) take() (int, error) {
	fd := int(p.fd.Swap(-1))
	if fd < 0 {
		return -1, fail(ErrClosed, "the socket of this parcel was taken out before")
	}
	runtime.SetFinalizer(p, nil)
	return fd, nil
}

func takeAs[T any](p *Parcel, make func(*os.File) (T, error)) (T, error) {
	fd, err := p.take()
	if err != nil {
		var none T
		return none, err
	}
	return as(fd, make)
}

// Conn takes the socket out as a connection, without the bytes.
func (p *Parcel) Conn() (net.Conn, error) { return takeAs(p, net.FileConn) }

// Listener takes the socket out as a listener.
func (p *Parcel) Listener() (net.Listener, error) { return takeAs(p, net.FileListener) }

// PacketConn takes the socket out as one of datagrams.
func (p *Parcel) PacketConn() (net.PacketConn, error) { return takeAs(p, net.FilePacketConn) }

// File takes the socket out, of whatever kind it is.
func (p *Parcel) File() (*os.File, error) {
	fd, err := p.take()
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "handed-off socket"), nil
}

// Close closes the socket, if nobody has taken it out.
func (p *Parcel) Close() error {
	if fd, err := p.take(); err == nil {
		closeForeign(fd)
	}
	return nil
}

// stream takes the socket out as a connection whose first reads give the bytes; false when it is no connection, and closed.
func (p *Parcel) stream() (net.Conn, bool) {
	fd, err := p.take()
	if err != nil {
		return nil, false
	}
	kind, err := sys.Type(fd)
	listens, err2 := sys.Listens(fd)
	if err != nil || err2 != nil || listens || kind != syscall.SOCK_STREAM {
		closeForeign(fd)
		return nil, false
	}
	conn, err := as(fd, net.FileConn)
	if err != nil {
		return nil, false
	}
	if len(p.Bytes) == 0 {
		return conn, true
	}
	return &unread{Conn: conn, left: p.Bytes}, true
}

// unread is a connection of which some input was read before. It is no syscall.Conn: who used the socket below it would
// miss that.
type unread struct {
	net.Conn
	mutex sync.Mutex
	left  []byte
}

func (u *unread) Read(into []byte) (int, error) {
	u.mutex.Lock()
	n := copy(into, u.left)
	u.left = u.left[n:]
	u.mutex.Unlock()
	if n > 0 {
		return n, nil
	}
	return u.Conn.Read(into)
}

// WriteTo lets io.Copy use the connection's own means for what was not read before.
func (u *unread) WriteTo(w io.Writer) (int64, error) {
	u.mutex.Lock()
	left := u.left
	u.left = nil
	u.mutex.Unlock()
	n, err := w.Write(left)
	if err != nil {
		return int64(n), err
	}
	rest, err := io.Copy(w, u.Conn)
	return int64(n) + rest, err
}

// CloseRead and CloseWrite end one direction, as those of the connection below do.
func (u *unread) CloseRead() error  { return closeSide(u.Conn, true) }
func (u *unread) CloseWrite() error { return closeSide(u.Conn, false) }

func closeSide(conn net.Conn, read bool) error {
	sides, ok := conn.(interface {
		CloseRead() error
		CloseWrite() error
	})
	switch {
	case !ok:
		return fail(ErrNotASocket, "%T has no sides to close", conn)
	case read:
		return sides.CloseRead()
	default:
		return sides.CloseWrite()
	}
}
