package sharesock

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// What handing off and sharing cost, beside the same done by hand: SCM_RIGHTS over a Unix socket and net.FileConn, without
// identity, back-pressure, expiry or reclaiming. One process plays both sides:
//
//	go test -run NONE -bench .

func benchEndpoint(b *testing.B) (*Endpoint, *net.TCPConn) {
	e, err := Open(b.TempDir() + "/domain")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return e, conn.(*net.TCPConn)
}

func BenchmarkShareAndRedeem(b *testing.B) {
	e, conn := benchEndpoint(b)
	for b.Loop() {
		info, err := e.Share(conn, PID(os.Getpid()))
		if err != nil {
			b.Fatal(err)
		}
		again, err := e.Conn(info)
		if err != nil {
			b.Fatal(err)
		}
		_ = again.Close()
	}
}

func BenchmarkHandOffAndReceive(b *testing.B) {
	e, conn := benchEndpoint(b)
	r, err := e.NewReceiver()
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	s, err := e.NewSender(e.Process())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	next := net.Conn(conn)
	for b.Loop() {
		if err := s.HandOff(next, nil); err != nil {
			b.Fatal(err)
		}
		if next, err = r.Accept(); err != nil {
			b.Fatal(err)
		}
	}
	_ = next.Close()
}

func BenchmarkRightsByHand(b *testing.B) {
	_, conn := benchEndpoint(b)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for n, fd := range pair {
		file := os.NewFile(uintptr(fd), "pair")
		end, err := net.FileConn(file)
		if err != nil {
			b.Fatal(err)
		}
		_ = file.Close()
		defer end.Close()
		ends[n] = end.(*net.UnixConn)
	}
	next := net.Conn(conn)
	bytes, control := make([]byte, 8), make([]byte, 64)
	for b.Loop() {
		raw, err := next.(*net.TCPConn).SyscallConn()
		if err != nil {
			b.Fatal(err)
		}
		err2 := raw.Control(func(fd uintptr) { _, _, err = ends[0].WriteMsgUnix(bytes, syscall.UnixRights(int(fd)), nil) })
		if err != nil || err2 != nil {
			b.Fatal(err, err2)
		}
		_ = next.Close()
		_, n, _, _, err := ends[1].ReadMsgUnix(bytes, control)
		if err != nil {
			b.Fatal(err)
		}
		messages, err := syscall.ParseSocketControlMessage(control[:n])
		if err != nil {
			b.Fatal(err)
		}
		fds, err := syscall.ParseUnixRights(&messages[0])
		if err != nil {
			b.Fatal(err)
		}
		file := os.NewFile(uintptr(fds[0]), "received")
		if next, err = net.FileConn(file); err != nil {
			b.Fatal(err)
		}
		_ = file.Close()
	}
	_ = next.Close()
}
