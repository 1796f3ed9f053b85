package sharesock

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func sender(t *testing.T, e *Endpoint, target Target, options ...Option) *Sender {
	t.Helper()
	s, err := e.NewSender(target, options...)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func receiver(t *testing.T, e *Endpoint, options ...Option) *Receiver {
	t.Helper()
	r, err := e.NewReceiver(options...)
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// receive takes one parcel within the patience of tests.
func receive(t *testing.T, r *Receiver) *Parcel {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	parcel, err := r.Receive(ctx)
	must(t, err)
	return parcel
}

func TestConnectionsAreHandedOffBothWays(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		client, server := pair(t)
		cookie := strconv.FormatUint(cookieOf(server), 10)
		_, err := e.NewSender(PID(p.pid()))
		mustBe(t, err, ErrNoEndpoint)
		p.must("receiver")
		s := sender(t, e, PID(p.pid()))
		must(t, s.HandOff(server, []byte("unread")))
		if answer := p.must("receive"); answer != cookie+" unread" {
			t.Fatalf("%q, not %s", answer, cookie)
		}
		must(t, s.Flush(context.Background()))
		if _, err := server.Write([]byte("x")); err == nil {
			t.Fatal("it was not closed here")
		}
		p.must("send there")
		expect(t, client, "there")

		r := receiver(t, e)
		p.must("hand-off " + strconv.Itoa(os.Getpid()) + " and back")
		parcel := receive(t, r)
		if string(parcel.Bytes) != "and back" || parcel.Source.PID() != p.pid() {
			t.Fatalf("%q from %v", parcel.Bytes, parcel.Source)
		}
		conn, err := parcel.Conn()
		must(t, err)
		_, err = parcel.Conn()
		mustBe(t, err, ErrClosed)
		_, err = conn.Write([]byte("here again"))
		must(t, err)
		expect(t, client, "here again")
		must(t, conn.Close())
		expectEnd(t, client)
	})
}

func TestListenersAndDatagramsAreHandedOff(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		p.must("receiver")
		r, s := receiver(t, e), sender(t, e, PID(p.pid()))
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		address := listener.Addr().String()
		must(t, s.HandOff(listener, nil))
		p.must("receive")
		p.must("hand-off " + strconv.Itoa(os.Getpid()) + " ")
		again, err := receive(t, r).Listener()
		must(t, err)
		if again.Addr().String() != address {
			t.Fatalf("%v, not %s", again.Addr(), address)
		}
		_ = again.Close()

		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		address = udp.LocalAddr().String()
		must(t, s.HandOff(udp, nil))
		p.must("receive")
		p.must("hand-off " + strconv.Itoa(os.Getpid()) + " ")
		packets, err := receive(t, r).PacketConn()
		must(t, err)
		if packets.LocalAddr().String() != address {
			t.Fatalf("%v, not %s", packets.LocalAddr(), address)
		}
		_ = packets.Close()
	})
}

func TestAUnixListenerKeepsItsName(t *testing.T) {
	e := newEndpoint(t)
	r := receiver(t, e)
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	must(t, err)
	must(t, sender(t, e, e.Process()).HandOff(listener, nil))
	again, err := receive(t, r).Listener()
	must(t, err)
	defer again.Close()
	conn, err := net.Dial("unix", path)
	must(t, err)
	_ = conn.Close()
}

// An unmodified server serves connections of which another process has read the beginning.
func TestAnHTTPServerServesWhatIsHandedOff(t *testing.T) {
	e := newEndpoint(t)
	r := receiver(t, e)
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		fmt.Fprintf(w, "%s %s %s", request.Method, request.URL.Path, body)
	})}
	served := make(chan error)
	go func() { served <- server.Serve(r) }()
	s := sender(t, e, e.Process())
	// What is no connection does not stop the server.
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	must(t, s.HandOff(udp, nil))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, s.HandOff(listener, nil))
	for n := range 20 {
		client, accepted := pair(t)
		request := fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", n)
		_, err := client.Write([]byte(request))
		must(t, err)
		read := make([]byte, n)
		_, err = io.ReadFull(accepted, read)
		must(t, err)
		must(t, s.HandOff(accepted, read))
		connection := bufio.NewReader(client)
		for path := range 2 {
			response, err := http.ReadResponse(connection, nil)
			must(t, err)
			body, err := io.ReadAll(response.Body)
			must(t, err)
			if expected := fmt.Sprintf("POST /%d body", n); path == 0 && string(body) != expected {
				t.Fatalf("%q, not %q", body, expected)
			}
			// And the connection stays alive.
			if path == 0 {
				_, err = client.Write([]byte("GET /again HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
				must(t, err)
			}
		}
	}
	must(t, server.Close())
	mustBe(t, <-served, http.ErrServerClosed)
	_, err = r.Accept()
	mustBe(t, err, net.ErrClosed)
}

func TestUnreadInputGoesOnWithTheConnection(t *testing.T) {
	e := newEndpoint(t)
	one, two := receiver(t, e, Named("one")), receiver(t, e, Named("two-2.x_"))
	client, server := pair(t)
	must(t, sender(t, e, e.Process(), Named("one")).HandOff(server, []byte("abcdef")))
	conn, err := one.Accept()
	must(t, err)
	expect(t, conn, "ab")
	must(t, sender(t, e, e.Process(), Named("two-2.x_")).HandOff(conn, []byte("gh")))
	_, err = client.Write([]byte("ij"))
	must(t, err)
	conn, err = two.Accept()
	must(t, err)
	expect(t, conn, "cdefghij")
	must(t, conn.(interface{ CloseWrite() error }).CloseWrite())
	expectEnd(t, client)
	_ = conn.Close()
}

func TestReceiversHaveNames(t *testing.T) {
	e := newEndpoint(t)
	receiver(t, e, Named("a"))
	_, err := e.NewReceiver(Named("a"))
	mustBe(t, err, ErrReceiverOpen)
	_, err = e.NewSender(e.Process(), Named("b"))
	mustBe(t, err, ErrNoEndpoint)
	for _, name := range []string{"a/b", "ä", "a b", "a\x00", strings.Repeat("x", 33)} {
		_, err = e.NewReceiver(Named(name))
		mustBe(t, err, ErrBadName)
		_, err = e.NewSender(e.Process(), Named(name))
		mustBe(t, err, ErrBadName)
	}
	receiver(t, e, Named(strings.Repeat("x", 32)))
}

func TestWhatAKilledTargetDidNotTakeComesBack(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		p.must("receiver")
		s := sender(t, e, PID(p.pid()))
		var clients []*net.TCPConn
		var cookies []uint64
		for n := range 5 {
			client, server := pair(t)
			clients, cookies = append(clients, client), append(cookies, cookieOf(server))
			must(t, s.HandOff(server, []byte(strconv.Itoa(n))))
		}
		p.must("receive")
		p.must("receive")
		if n := s.Outstanding(); n != 3 {
			t.Fatalf("%d are outstanding", n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		err := s.Flush(ctx)
		mustBe(t, err, ErrNotTaken)
		mustBe(t, err, context.DeadlineExceeded)
		done := s.Done()
		p.kill()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("the end of the target was not told")
		}
		_, server := pair(t)
		err = s.HandOff(server, nil)
		mustBe(t, err, ErrTargetGone)
		mustBe(t, err, syscall.EPIPE)
		mustBe(t, s.Flush(context.Background()), ErrTargetGone)
		parcels, err := s.Reclaim()
		must(t, err)
		if len(parcels) != 3 {
			t.Fatalf("%d came back", len(parcels))
		}
		for n, parcel := range parcels {
			conn, err := parcel.Conn()
			must(t, err)
			if string(parcel.Bytes) != strconv.Itoa(n+2) || cookieOf(conn) != cookies[n+2] {
				t.Fatalf("%q is another", parcel.Bytes)
			}
			_ = conn.Close()
		}
		for _, client := range clients {
			expectEnd(t, client)
		}
		_, err = s.Reclaim()
		mustBe(t, err, ErrClosed)
	})
}

func TestWhatALivingTargetDidNotTakeComesBack(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		p.must("receiver")
		for range 20 {
			s := sender(t, e, PID(p.pid()))
			client, server := pair(t)
			must(t, s.HandOff(server, nil))
			p.say("receive")
			parcels, err := s.Reclaim()
			must(t, err)
			// One of the two has it.
			if len(parcels) == 1 {
				must(t, parcels[0].Close())
				expectEnd(t, client)
				other, err := e.NewSender(PID(p.pid()))
				must(t, err)
				_, server = pair(t)
				must(t, other.HandOff(server, nil))
				must(t, other.Close())
			}
			if answer := p.hear("receive"); !strings.HasPrefix(answer, "ok") {
				t.Fatal(answer)
			}
			p.must("close")
		}
	})
}

func TestWhatAKilledSenderHandedOffArrives(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		r := receiver(t, e)
		p := start(e.Domain())
		client, server := pair(t)
		p.must("redeem " + infoFor(t, e, server, p))
		must(t, server.Close())
		p.must("hand-off " + strconv.Itoa(os.Getpid()) + " last words")
		p.kill()
		conn, err := r.Accept()
		must(t, err)
		expect(t, conn, "last words")
		must(t, conn.Close())
		expectEnd(t, client)
	})
}

func TestAClosedReceiverGivesBack(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		p.must("receiver")
		s := sender(t, e, PID(p.pid()))
		_, server := pair(t)
		must(t, s.HandOff(server, nil))
		p.must("close-receiver")
		_, server = pair(t)
		mustBe(t, s.HandOff(server, nil), ErrTargetGone)
		parcels, err := s.Reclaim()
		must(t, err)
		if len(parcels) != 1 {
			t.Fatalf("%d came back", len(parcels))
		}
		_ = parcels[0].Close()
	})
}

func TestASenderWaitsForRoom(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		p.must("receiver")
		s := sender(t, e, PID(p.pid()))
		_, server := pair(t)
		bytes := make([]byte, 1<<15)
		for n := range bytes {
			bytes[n] = 'x'
		}
		// Copies of one socket, until there is no room.
		copies := func() *os.File {
			file, err := server.File()
			must(t, err)
			return file
		}
		sent := 0
		for ; ; sent++ {
			file := copies()
			err := s.TryHandOff(file, bytes)
			if err != nil {
				mustBe(t, err, ErrHandOffFull)
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
				err = s.HandOffContext(ctx, file, bytes)
				cancel()
				mustBe(t, err, ErrHandOffFull)
				mustBe(t, err, context.DeadlineExceeded)
				done := make(chan error)
				go func() { done <- s.HandOff(file, nil) }()
				taken := 0
				for {
					p.must("receive")
					taken++
					select {
					case err := <-done:
						must(t, err)
						if left := s.Outstanding(); left != sent+1-taken {
							t.Fatalf("%d of %d are left after %d", left, sent+1, taken)
						}
						return
					default:
						if taken > sent {
							t.Fatal("there is room, and the sender waits")
						}
					}
				}
			}
		}
	})
}

func TestBytesHaveABound(t *testing.T) {
	e := newEndpoint(t)
	r := receiver(t, e)
	s := sender(t, e, e.Process())
	_, server := pair(t)
	err := s.HandOff(server, make([]byte, 1<<16+1))
	mustBe(t, err, ErrTooManyBytes)
	must(t, s.HandOff(server, make([]byte, 1<<16)))
	parcel := receive(t, r)
	if len(parcel.Bytes) != 1<<16 {
		t.Fatal(len(parcel.Bytes))
	}
	_ = parcel.Close()
}

func TestWhatHasNoSocketOfItsOwnIsRefused(t *testing.T) {
	e := newEndpoint(t)
	receiver(t, e)
	s := sender(t, e, e.Process())
	_, server := pair(t)
	one, two := net.Pipe()
	defer two.Close()
	for _, conn := range []io.Closer{tls.Client(server, nil), one} {
		mustBe(t, s.HandOff(conn, nil), ErrNotASocket)
	}
	_, err := server.Write([]byte("it is open still"))
	must(t, err)
}

func TestReceivingEndsWithItsContext(t *testing.T) {
	e := newEndpoint(t)
	r := receiver(t, e)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := r.Receive(ctx)
	mustBe(t, err, context.DeadlineExceeded)
	if parcel, err := r.TryReceive(); parcel != nil || err != nil {
		t.Fatal(parcel, err)
	}
	ended := make(chan error)
	for range 3 {
		go func() {
			_, err := r.Receive(context.Background())
			ended <- err
		}()
	}
	must(t, r.Close())
	for range 3 {
		mustBe(t, <-ended, ErrClosed)
	}
}

func TestManyReceiveTogether(t *testing.T) {
	e := newEndpoint(t)
	r := receiver(t, e)
	const senders, each = 4, 50
	got := make(chan string)
	for range 3 {
		go func() {
			for {
				parcel, err := r.Receive(context.Background())
				if err != nil {
					return
				}
				_ = parcel.Close()
				got <- string(parcel.Bytes)
			}
		}()
	}
	_, server := pair(t)
	for s := range senders {
		to := sender(t, e, e.Process())
		go func() {
			for n := range each {
				file, err := server.File()
				if err == nil {
					err = to.HandOff(file, []byte(fmt.Sprintf("%d %d", s, n)))
				}
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	seen := map[string]bool{}
	for range senders * each {
		select {
		case text := <-got:
			if seen[text] {
				t.Fatalf("%s came twice", text)
			}
			seen[text] = true
		case <-time.After(patience):
			t.Fatalf("%d of %d came", len(seen), senders*each)
		}
	}
}
