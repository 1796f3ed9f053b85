package sharesock

import (
	"bytes"
	"fmt"
	"math/rand"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

// victim is a peer that is attacked by the names it listens under, and an honest endpoint that shares with it.
type victim struct {
	*peerProcess
	e *Endpoint
}

func newVictim(t *testing.T) victim {
	t.Helper()
	e := newEndpoint(t)
	p := startPeer(t, []string{domainVariable + "=" + e.Domain(), goVariable + "=1"}, os.Args[0])
	p.must("receiver")
	// It holds something for somebody, so that it listens for claims.
	p.must("socket")
	nobody := startPeer(t, []string{domainVariable + "=" + e.Domain(), goVariable + "=1", laterVariable + "=1"}, os.Args[0])
	p.must("duplicate " + strconv.Itoa(nobody.pid()))
	t.Cleanup(nobody.kill)
	return victim{p, e}
}

var suffixes = []string{"", claimsSuffix, handOffSuffix}

// connect opens a link to one of its names.
func (v victim) connect(suffix string) *stranger {
	v.t.Helper()
	process, err := FindProcess(v.pid())
	must(v.t, err)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	must(v.t, err)
	must(v.t, syscall.Connect(fd, &syscall.SockaddrUnix{Name: v.e.Domain() + "/" + process.wire.Who().Name(suffix)}))
	s := &stranger{v.t, fd}
	v.t.Cleanup(s.close)
	return s
}

// isWell tells that it still works for honest processes, which also has it read every link.
func (v victim) isWell() {
	v.t.Helper()
	client, server := pair(v.t)
	info, err := v.e.Share(server, PID(v.pid()))
	must(v.t, err)
	text, err := InfoText(info)
	must(v.t, err)
	v.must("redeem " + text)
	s, err := v.e.NewSender(PID(v.pid()))
	must(v.t, err)
	id := strconv.FormatUint(cookieOf(server), 10)
	must(v.t, s.HandOff(server, nil))
	// A stranger may have handed off something properly before.
	for v.must("receive") != id+" " {
		v.must("close")
	}
	v.must("close")
	must(v.t, s.Close())
	expectEnd(v.t, client)
	read, err := wire.ReadInfo(info)
	must(v.t, err)
	read.Token[0] ^= 1
	if answer := v.ask("redeem " + read.Text()); !strings.Contains(answer, "no duplicate waits") {
		v.t.Fatal(answer)
	}
}

// stranger speaks the protocol by hand, and need not keep to it.
type stranger struct {
	t  *testing.T
	fd int
}

func (s *stranger) close() {
	if s.fd >= 0 {
		_ = syscall.Close(s.fd)
		s.fd = -1
	}
}

// send sends a message, however wrong; that the victim closed the link is no failure.
func (s *stranger) send(bytes []byte, fds ...int) *stranger {
	_ = syscall.Sendmsg(s.fd, bytes, syscall.UnixRights(fds...), nil, syscall.MSG_NOSIGNAL)
	return s
}

func (s *stranger) hello() *stranger {
	me, err := self()
	must(s.t, err)
	return s.send(wire.Frame{Kind: wire.Hello, Process: me.Process}.Bytes())
}

// hasClosed waits until the victim, which may not have looked at it yet, has closed the link.
func (v victim) hasClosed(s *stranger, what string) {
	v.t.Helper()
	eventually(v.t, "the link is closed: "+what, func() bool {
		v.isWell()
		return sys.Ready(s.fd, sys.Hup)
	})
}

// raw is a further descriptor of a socket, which is closed once: by closeRaw, or after the test.
func raw(t *testing.T, socket any) (fd int) {
	t.Helper()
	must(t, withSocket(socket, func(at int) (err error) {
		fd, err = dup(at)
		return err
	}))
	rawOnes[fd] = true
	t.Cleanup(func() { closeRaw(fd) })
	return fd
}

var rawOnes = map[int]bool{}

func closeRaw(fd int) {
	if rawOnes[fd] {
		delete(rawOnes, fd)
		_ = syscall.Close(fd)
	}
}

func TestNoiseClosesTheLinkAndNothingElse(t *testing.T) {
	v := newVictim(t)
	v.isWell()
	before, err := strconv.Atoi(v.ask("descriptors"))
	must(t, err)
	_, server := pair(t)
	fd := raw(t, server)
	for _, suffix := range suffixes {
		for _, length := range []int{0, 1, 4, 39, 40, 41, 1000, 60_000} {
			for _, count := range []int{0, 1, 2, 3, 253} {
				s := v.connect(suffix)
				if length%2 == 0 && suffix != handOffSuffix {
					s.hello()
				}
				fds := make([]int, count)
				for at := range fds {
					fds[at] = fd
				}
				s.send(bytes.Repeat([]byte{0x5A}, length), fds...).close()
			}
		}
		v.isWell()
	}
	// Everything that came with the noise is closed again: only the links of an honest source are left.
	eventually(t, "what came with noise is closed", func() bool {
		now, err := strconv.Atoi(v.ask("descriptors"))
		return err == nil && now <= before+2
	})
}

func TestWhoClaimsToBeAnotherIsNotBelieved(t *testing.T) {
	v := newVictim(t)
	parent, err := FindProcess(os.Getppid())
	must(t, err)
	hello := wire.Frame{Kind: wire.Hello, Process: parent.wire}.Bytes()
	_, two, err := makeQueue(parent.wire, handOffSuffix)
	must(t, err)
	defer syscall.Close(two)
	for _, suffix := range suffixes {
		s := v.connect(suffix)
		if suffix == handOffSuffix {
			s.send(hello, two)
		} else {
			s.send(hello)
		}
		v.hasClosed(s, "somebody else's name at"+suffix)
	}
}

func TestADeliveryMustHoldWhatItPromises(t *testing.T) {
	v := newVictim(t)
	client, server := pair(t)
	_, another := pair(t)
	file, err := os.Open("/dev/null")
	must(t, err)
	socket, other, null := raw(t, server), raw(t, another), raw(t, file)
	must(t, server.Close())
	cookie, err := sys.Cookie(socket)
	must(t, err)
	good := wire.Frame{Kind: wire.Deliver, Token: wire.NewToken([8]byte{7}, cookie), Cookie: cookie}
	wrongCookie, gated := good, good
	wrongCookie.Cookie, gated.Gated = 1, true
	me, err := self()
	must(t, err)
	attempts := map[string]struct {
		frame wire.Frame
		fds   []int
	}{
		"wrong cookie": {wrongCookie, []int{socket}}, "another socket": {good, []int{other}}, "no socket": {good, []int{null}},
		"no descriptor": {good, nil}, "no gate": {gated, []int{socket}}, "a gate too many": {good, []int{socket, null}},
		"a second greeting": {wire.Frame{Kind: wire.Hello, Process: me.Process}, nil},
		"a claim":           {wire.Frame{Kind: wire.Claim, Token: good.Token}, nil},
		"a refusal":         {wire.Frame{Kind: wire.Refuse, Token: good.Token, Reason: wire.Expired}, nil},
	}
	for what, attempt := range attempts {
		s := v.connect("").hello().send(attempt.frame.Bytes(), attempt.fds...)
		v.hasClosed(s, what)
	}
	s := v.connect("").hello().send(good.Bytes(), socket).send(good.Bytes(), socket)
	v.hasClosed(s, "a token twice")
	// What came properly waits for its info: the victim's end frees it.
	closeRaw(socket)
	v.kill()
	expectEnd(t, client)
}

func TestClaimsOfWhatIsNotHeldForTheClaimantGetNothing(t *testing.T) {
	v := newVictim(t)
	third := startPeer(t, []string{domainVariable + "=" + v.e.Domain(), goVariable + "=1", laterVariable + "=1"}, os.Args[0])
	v.must("socket")
	info, err := wire.ReadInfo([]byte(v.must("duplicate " + strconv.Itoa(third.pid()))))
	must(t, err)
	for _, token := range []wire.Token{info.Token, {9}} {
		s := v.connect(claimsSuffix).hello().send(wire.Frame{Kind: wire.Claim, Token: token}.Bytes())
		must(t, syscall.SetsockoptTimeval(s.fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 60}))
		read := make([]byte, 100)
		n, _, err := syscall.Recvfrom(s.fd, read, 0)
		must(t, err)
		frame, ok := wire.ReadFrame(read[:n])
		if expected := (wire.Frame{Kind: wire.Refuse, Token: token, Reason: wire.NotHeld}); !ok || frame != expected {
			t.Fatalf("%x", read[:n])
		}
	}
	// With a descriptor, which nobody wants, the link is closed; also where the kernel does not refuse it.
	_, server := pair(t)
	s := v.connect(claimsSuffix).hello().send(wire.Frame{Kind: wire.Claim}.Bytes(), raw(t, server))
	_, _, _ = syscall.Recvfrom(s.fd, make([]byte, 1), syscall.MSG_DONTWAIT)
	v.isWell()
}

func TestAGreetingMustBringTheEndOfAQueue(t *testing.T) {
	v := newVictim(t)
	file, err := os.Open("/dev/null")
	must(t, err)
	listener, err := net.Listen("unixpacket", t.TempDir()+"/x")
	must(t, err)
	_, server := pair(t)
	me, err := self()
	must(t, err)
	one, two, err := makeQueue(me.Process, handOffSuffix)
	must(t, err)
	defer syscall.Close(one)
	defer syscall.Close(two)
	hello := wire.Frame{Kind: wire.Hello, Process: me.Process}.Bytes()
	for what, fds := range map[string][]int{
		"nothing": nil, "a file": {raw(t, file)}, "a stream": {raw(t, server)},
		"what listens": {raw(t, listener)}, "two": {one, two},
	} {
		s := v.connect(handOffSuffix).send(hello, fds...)
		v.hasClosed(s, what)
	}
}

// greet opens a queue to the victim by hand.
func (v victim) greet() (in *stranger, back int) {
	v.t.Helper()
	me, err := self()
	must(v.t, err)
	one, two, err := makeQueue(me.Process, handOffSuffix)
	must(v.t, err)
	v.connect(handOffSuffix).send(wire.Frame{Kind: wire.Hello, Process: me.Process}.Bytes(), two)
	in = &stranger{v.t, one}
	v.t.Cleanup(in.close)
	return in, two
}

func TestLoadsThatDoNotAddUpAreRefusedWithAllTheyCarry(t *testing.T) {
	v := newVictim(t)
	client, server := pair(t)
	socket := raw(t, server)
	must(t, server.Close())
	word := func(n uint32) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} }
	load := func(count uint32, lengths []uint32, size int) []byte {
		load := append([]byte("SSL\x01"), word(count)...)
		for _, length := range lengths {
			load = append(load, word(length)...)
		}
		return append(load, make([]byte, size)...)
	}
	for _, attempt := range []struct {
		load  []byte
		count int
	}{
		{load(2, []uint32{0, 0}, 0), 1}, {load(1, []uint32{0}, 0), 2}, {load(1, []uint32{5}, 4), 1}, {load(1, []uint32{5}, 6), 1},
		{load(1<<32-1, []uint32{0}, 0), 1}, {load(1, []uint32{1<<32 - 1}, 0), 1}, {load(0, nil, 0), 0},
		{load(1, []uint32{70_000}, 70_000), 1}, {load(2, []uint32{0, 0}, 0), 2}, {load(2, []uint32{0, 0}, 0), 3},
		{load(1, []uint32{0}, 0), 0}, {load(1, []uint32{0}, 0), 253}, {nil, 1}, {make([]byte, 100_000), 3},
	} {
		in, back := v.greet()
		_ = syscall.Close(back)
		fds := make([]int, attempt.count)
		for at := range fds {
			fds[at] = socket
		}
		in.send(attempt.load, fds...)
		v.hasClosed(in, fmt.Sprintf("a load of %d bytes with %d", len(attempt.load), attempt.count))
	}
	closeRaw(socket)
	expectEnd(t, client)
}

func TestASenderThatMeddlesWithItsQueueHarmsItself(t *testing.T) {
	v := newVictim(t)
	client, server := pair(t)
	socket := raw(t, server)
	must(t, server.Close())
	// It takes out again what it put in.
	in, back := v.greet()
	v.isWell()
	for range 100 {
		in.send(wire.Load(nil), socket)
		_ = sys.Drop(back)
	}
	v.isWell()
	// It has the peeks of the queue begin elsewhere (SO_PEEK_OFF), so that there is something that shows nothing.
	_ = syscall.SetsockoptInt(back, syscall.SOL_SOCKET, 42, 1_000_000)
	in.send(wire.Load(nil), socket)
	v.isWell()
	_ = syscall.Close(back)
	in.close()
	// It keeps the lock that says that it takes back what is there.
	in, back = v.greet()
	v.isWell()
	must(t, sys.LockRecord(back))
	in.send(wire.Load(nil), socket)
	for range 3 {
		v.isWell()
	}
	if bytes, err := sys.QueuedBytes(back); err != nil || bytes != uint64(len(wire.Load(nil))) {
		t.Fatalf("%d bytes are left, %v: something was taken", bytes, err)
	}
	_ = syscall.Close(back)
	in.close()
	// It has credentials and descriptors of processes come along (SO_PASSCRED, SO_PASSPIDFD).
	in, back = v.greet()
	_ = syscall.SetsockoptInt(back, syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
	_ = syscall.SetsockoptInt(back, syscall.SOL_SOCKET, 76, 1)
	_ = syscall.Close(back)
	v.isWell()
	before, err := strconv.Atoi(v.ask("descriptors"))
	must(t, err)
	in.send(wire.Load([]byte("it arrives")), socket)
	if answer := v.must("receive"); !strings.HasSuffix(answer, "it arrives") {
		t.Fatal(answer)
	}
	v.must("close")
	eventually(t, "nothing that came along is open", func() bool {
		after, err := strconv.Atoi(v.ask("descriptors"))
		return err == nil && after <= before
	})
	in.close()
	closeRaw(socket)
	expectEnd(t, client)
}

func TestIdleLinksKeepNobodyOut(t *testing.T) {
	v := newVictim(t)
	for _, suffix := range suffixes {
		var idle []*stranger
		for range 400 {
			idle = append(idle, v.connect(suffix))
		}
		v.isWell()
		for _, s := range idle {
			s.close()
		}
	}
}

// What comes can be a connection whose last close waits for ten minutes.
func TestNobodyWaitsForACloseThatLingers(t *testing.T) {
	v := newVictim(t)
	for n := range 30 {
		client, server := pair(t)
		must(t, server.SetLinger(600))
		must(t, server.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		for full := make([]byte, 1<<16); ; {
			if _, err := server.Write(full); err != nil {
				break
			}
		}
		fd := raw(t, server)
		s := v.connect(suffixes[n%3])
		if n%3 != 2 {
			s.hello()
		}
		s.send(make([]byte, 17), fd).close()
		// This process has none of it any more, without having waited.
		delete(rawOnes, fd)
		closeElsewhere(fd)
		closeOwn(server)
		_ = client
	}
	v.isWell()
}

// Random messages, some of which begin properly, over links of every kind.
func FuzzLinks(f *testing.F) {
	f.Add(int64(1), wire.Frame{Kind: wire.Deliver, Gated: true}.Bytes(), byte(2))
	f.Add(int64(2), wire.Load([]byte("a")), byte(1))
	f.Add(int64(3), wire.Frame{Kind: wire.Appetite}.Bytes(), byte(0))
	path := f.TempDir() + "/domain"
	e, err := Open(path)
	if err != nil {
		f.Fatal(err)
	}
	r, err := e.NewReceiver()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, seed int64, message []byte, count byte) {
		random := rand.New(rand.NewSource(seed))
		_, server := pair(t)
		socket := raw(t, server)
		fds := make([]int, int(count)%4)
		for at := range fds {
			fds[at] = socket
		}
		suffix := []string{"", handOffSuffix}[random.Intn(2)]
		fd, err := seqpacket()
		must(t, err)
		s := &stranger{t, fd}
		defer s.close()
		must(t, connect(fd, at(e.domain.folder, e.me.Who().Name(suffix))))
		hello := wire.Frame{Kind: wire.Hello, Process: e.me.Process}.Bytes()
		switch random.Intn(3) {
		case 0:
			s.send(hello)
		case 1:
			one, two, err := makeQueue(e.me.Process, handOffSuffix)
			must(t, err)
			s.send(hello, two)
			_ = syscall.Close(two)
			in := &stranger{t, one}
			defer in.close()
			in.send(message, fds...)
		}
		s.send(message, fds...)
		info := wire.Info{Entry: &wire.Catalog[0], Target: e.me.Who(), Source: e.me.Who(), Domain: e.domain.digest()}
		if file, err := e.File(t.Context(), info.Bytes()); err == nil {
			_ = file.Close()
		}
		if parcel, _ := r.TryReceive(); parcel != nil {
			_ = parcel.Close()
		}
	})
}
