package sharesock

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

func isKind(err, kind error) bool { return errors.Is(err, kind) }

// infoFor shares a socket with a peer, and returns the text of the info.
func infoFor(t *testing.T, e *Endpoint, socket syscall.Conn, p *peerProcess, options ...Option) string {
	t.Helper()
	info, err := e.Share(socket, PID(p.pid()), options...)
	must(t, err)
	if len(info) != 628 {
		t.Fatalf("an info of %d bytes", len(info))
	}
	text, err := InfoText(info)
	must(t, err)
	return text
}

func TestAConnectionIsSharedBothWays(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		client, server := pair(t)
		cookie := cookieOf(server)
		text := infoFor(t, e, server, p)
		if id := p.must("redeem " + text); id != strconv.FormatUint(cookie, 10) {
			t.Fatalf("socket %s, not %d", id, cookie)
		}
		if answer := p.ask("redeem " + text); !strings.Contains(answer, "redeemed already") {
			t.Fatal(answer)
		}
		// Each is one of two descriptors.
		must(t, server.Close())
		p.must("send from the peer")
		expect(t, client, "from the peer")

		info := p.must("duplicate " + strconv.Itoa(os.Getpid()))
		conn, err := e.Conn([]byte(info))
		must(t, err)
		defer conn.Close()
		if cookieOf(conn) != cookie {
			t.Fatal("another socket")
		}
		_, err = e.Conn([]byte(info))
		mustBe(t, err, ErrAlreadyRedeemed)
		p.must("close")
		_, err = conn.Write([]byte("from here"))
		must(t, err)
		expect(t, client, "from here")
		must(t, conn.Close())
		expectEnd(t, client)
	})
}

func TestListenersAndDatagramsAreShared(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		address := listener.Addr().String()
		p.must("redeem " + infoFor(t, e, listener.(*net.TCPListener), p))
		must(t, listener.Close())
		again, err := e.Listener([]byte(p.must("duplicate " + strconv.Itoa(os.Getpid()))))
		must(t, err)
		defer again.Close()
		client, err := net.Dial("tcp", address)
		must(t, err)
		defer client.Close()
		p.must("accept")
		p.must("send accepted there")
		expect(t, client, "accepted there")

		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		sink, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		defer sink.Close()
		p.must("redeem " + infoFor(t, e, udp.(*net.UDPConn), p))
		must(t, udp.Close())
		shared, err := e.PacketConn([]byte(p.must("duplicate " + strconv.Itoa(os.Getpid()))))
		must(t, err)
		defer shared.Close()
		_, err = shared.WriteTo([]byte("datagram"), sink.LocalAddr())
		must(t, err)
		read := make([]byte, 100)
		must(t, sink.SetDeadline(time.Now().Add(patience)))
		n, from, err := sink.ReadFrom(read)
		must(t, err)
		if string(read[:n]) != "datagram" || from.String() != shared.LocalAddr().String() {
			t.Fatalf("%q from %v", read[:n], from)
		}
	})
}

func TestWhatATargetWithoutAnEndpointIsSharedWaitsWithTheSource(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain(), laterVariable+"=1")
		client, server := pair(t)
		one, two, three := infoFor(t, e, server, p), infoFor(t, e, server, p), infoFor(t, e, server, p, Expires(time.Nanosecond))
		var revocation Revocation
		four := infoFor(t, e, server, p, Revocable(&revocation))
		must(t, revocation.Revoke())
		mustBe(t, revocation.Revoke(), ErrAlreadyRedeemed)
		must(t, server.Close())
		p.must("open")
		p.must("redeem " + one)
		p.must("send claimed")
		expect(t, client, "claimed")
		for text, info := range map[string]string{"has expired": three, "was revoked": four} {
			if answer := p.ask("redeem " + info); !strings.Contains(answer, text) {
				t.Fatal(answer)
			}
		}
		// The second is delivered now.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, e.Flush(ctx))
		p.must("close")
		p.must("redeem " + two)
		p.must("send flushed")
		expect(t, client, "flushed")
		p.must("close")
		expectEnd(t, client)
	})
}

func TestWhatAnotherHoldsIsClaimed(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		domain := newDomain(t)
		p := start(domain)
		p.must("socket")
		me := strconv.Itoa(os.Getpid())
		one, two, three := p.must("duplicate "+me), p.must("duplicate "+me), p.must("duplicate "+me)
		e, err := Open(domain)
		must(t, err)
		defer e.Close()
		file, err := e.File(context.Background(), []byte(one))
		must(t, err)
		must(t, file.Close())
		_, err = e.File(context.Background(), []byte(one))
		mustBe(t, err, ErrAlreadyRedeemed)

		// While the source is stopped, a context ends the wait, and the info stays good.
		p.stop()
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			time.Sleep(50 * time.Millisecond)
			cancel()
		}()
		_, err = e.File(ctx, []byte(two))
		mustBe(t, err, context.Canceled)
		p.goOn()
		file, err = e.File(context.Background(), []byte(two))
		must(t, err)
		must(t, file.Close())

		p.kill()
		_, err = e.File(context.Background(), []byte(three))
		mustBe(t, err, ErrSourceGone)
	})
}

func TestASilentSourceIsWaitedForAsLongAsSaid(t *testing.T) {
	domain := newDomain(t)
	p := startPeer(t, []string{domainVariable + "=" + domain, goVariable + "=1"}, os.Args[0])
	p.must("socket")
	info := p.must("duplicate " + strconv.Itoa(os.Getpid()))
	e, err := Open(domain)
	must(t, err)
	defer e.Close()
	p.stop()
	_, err = e.File(context.Background(), []byte(info))
	mustBe(t, err, ErrSourceSilent)
	p.goOn()
	file, err := e.File(context.Background(), []byte(info))
	must(t, err)
	must(t, file.Close())
}

func TestASourceThatWasKilledHasDelivered(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		client, server := pair(t)
		p.must("redeem " + infoFor(t, e, server, p))
		must(t, server.Close())
		info := p.must("duplicate " + strconv.Itoa(os.Getpid()))
		p.kill()
		conn, err := e.Conn([]byte(info))
		must(t, err)
		_, err = conn.Write([]byte("still there"))
		must(t, err)
		expect(t, client, "still there")
		must(t, conn.Close())
		expectEnd(t, client)
	})
}

func TestATargetThatWasKilledTakesWhatItDidNotRedeemWithIt(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		client, server := pair(t)
		_ = infoFor(t, e, server, p)
		must(t, server.Close())
		p.kill()
		expectEnd(t, client)
		_, other := pair(t)
		_, err := e.Share(other, PID(p.pid()))
		mustBe(t, err, ErrNoSuchProcess)
	})
}

func TestExpiryAndRevocation(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		_, server := pair(t)
		expired := infoFor(t, e, server, p, Expires(time.Nanosecond))
		var revocation, late Revocation
		revoked := infoFor(t, e, server, p, Revocable(&revocation))
		redeemed := infoFor(t, e, server, p, Revocable(&late), Expires(time.Hour))
		must(t, revocation.Revoke())
		p.must("redeem " + redeemed)
		mustBe(t, late.Revoke(), ErrAlreadyRedeemed)
		for text, info := range map[string]string{"has expired": expired, "was revoked": revoked} {
			if answer := p.ask("redeem " + info); !strings.Contains(answer, text) {
				t.Fatal(answer)
			}
		}
	})
	_, server := pair(t)
	_, err := newEndpoint(t).Share(server, PID(os.Getpid()), Expires(-1))
	mustBe(t, err, ErrExpired)
}

func TestADiscardedDuplicateIsClosed(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		client, server := pair(t)
		info := infoFor(t, e, server, p)
		must(t, server.Close())
		p.must("discard " + info)
		expectEnd(t, client)
	})
}

func TestAnOfferIsForWhoeverIsFirst(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		one, two := start(e.Domain()), start(e.Domain())
		client, server := pair(t)
		text := func(options ...Option) string {
			info, err := e.Offer(server, time.Hour, options...)
			must(t, err)
			text, err := InfoText(info)
			must(t, err)
			return text
		}
		offer, stranger, mine := text(), text(OfUser(os.Getuid()+1)), text(OfUser(os.Getuid()))
		var revocation Revocation
		revoked := text(Revocable(&revocation))
		must(t, revocation.Revoke())
		one.must("redeem " + offer)
		for text, info := range map[string]string{"redeemed already": offer, "was revoked": revoked} {
			if answer := two.ask("redeem " + info); !strings.Contains(answer, text) {
				t.Fatal(answer)
			}
		}
		if answer := two.ask("redeem " + stranger); !strings.Contains(answer, "redeemed already") {
			t.Fatal(answer)
		}
		two.must("redeem " + mine)
		// Nobody waits for what is for nobody in particular.
		must(t, e.Flush(context.Background()))
		must(t, server.Close())
		one.must("send from the first")
		expect(t, client, "from the first")
	})
	_, server := pair(t)
	for _, within := range []time.Duration{0, -1} {
		_, err := newEndpoint(t).Offer(server, within)
		mustBe(t, err, ErrExpired)
	}
}

func TestOnlyTheTargetRedeemsAndOnlyThere(t *testing.T) {
	e, other := newEndpoint(t), newEndpoint(t)
	p := startPeer(t, []string{domainVariable + "=" + e.Domain(), goVariable + "=1"}, os.Args[0])
	_, server := pair(t)
	info, err := e.Share(server, PID(p.pid()))
	must(t, err)
	_, err = e.Conn(info)
	mustBe(t, err, ErrWrongProcess)

	info, err = e.Share(server, PID(os.Getpid()))
	must(t, err)
	_, err = other.Conn(info)
	mustBe(t, err, ErrWrongDomain)
	altered := append([]byte(nil), info...)
	altered[50] ^= 1
	_, err = e.Conn(altered)
	mustBe(t, err, ErrBadInfo)
	read, err := wire.ReadInfo(info)
	must(t, err)
	read.Token[0] ^= 1
	_, err = e.Conn(read.Bytes())
	mustBe(t, err, ErrUnknownDelivery)
	read.Empty = true
	_, err = e.Conn(read.Bytes())
	mustBe(t, err, ErrNothingToRedeem)
	for _, wrong := range [][]byte{nil, info[:627], append(info, 0), []byte("sharesock1:00")} {
		_, err = e.Conn(wrong)
		mustBe(t, err, ErrBadInfo)
	}
	conn, err := e.Conn(info)
	must(t, err)
	_ = conn.Close()
}

func TestWhatCannotBeSharedIsRefused(t *testing.T) {
	e := newEndpoint(t)
	file, err := os.Open("/dev/null")
	must(t, err)
	defer file.Close()
	_, err = e.Share(file, PID(os.Getpid()))
	mustBe(t, err, ErrNotASocket)
	mustBe(t, err, syscall.ENOTSOCK)
	_, server := pair(t)
	for _, pid := range []int{0, -1, 1 << 31, 1<<22 - 1} {
		_, err = e.Share(server, PID(pid))
		mustBe(t, err, ErrNoSuchProcess)
		mustBe(t, err, syscall.ESRCH)
	}
	must(t, server.Close())
	_, err = e.Share(server, PID(os.Getpid()))
	mustBe(t, err, net.ErrClosed)
	must(t, e.Close())
	_, err = e.Share(server, PID(os.Getpid()))
	mustBe(t, err, ErrClosed)
	_, err = e.Conn(nil)
	mustBe(t, err, net.ErrClosed)
}

func TestAProcessHasOneEndpointInADomain(t *testing.T) {
	e := newEndpoint(t)
	again, err := Open(e.Domain())
	must(t, err)
	_, server := pair(t)
	info, err := e.Share(server, e.Process())
	must(t, err)
	must(t, e.Close())
	must(t, e.Close())
	// What was delivered is there still.
	conn, err := again.Conn(info)
	must(t, err)
	_ = conn.Close()
	must(t, again.Close())
	entries, err := os.ReadDir(e.Domain())
	must(t, err)
	if len(entries) != 0 {
		t.Fatalf("%v is left", entries)
	}
}

func TestAProcessIsNamedByWhatItTells(t *testing.T) {
	peerKinds(t, func(t *testing.T, start func(string, ...string) *peerProcess) {
		e := newEndpoint(t)
		p := start(e.Domain())
		told, err := ParseProcess(p.ask("process"))
		must(t, err)
		found, err := FindProcess(p.pid())
		must(t, err)
		if told != found || told.PID() != p.pid() {
			t.Fatalf("%v, not %v", told, found)
		}
		_, server := pair(t)
		info, err := e.Share(server, told)
		must(t, err)
		text, err := InfoText(info)
		must(t, err)
		p.must("redeem " + text)
	})
	for _, text := range []string{"", "1", "1:2", "1:2:x", "99999999999:2:3", "1:2:3:4", "-1:2:3"} {
		_, err := ParseProcess(text)
		mustBe(t, err, ErrNotAProcess)
	}
}

func TestNamesOfKilledProcessesAreSwept(t *testing.T) {
	domain := newDomain(t)
	p := startPeer(t, []string{domainVariable + "=" + domain, goVariable + "=1"}, os.Args[0])
	p.must("receiver")
	p.kill()
	e, err := Open(domain)
	must(t, err)
	defer e.Close()
	entries, err := os.ReadDir(domain)
	must(t, err)
	if len(entries) != 1 {
		t.Fatalf("%v", entries)
	}
}

func TestDomainsThatOthersCouldChangeAreRefused(t *testing.T) {
	for mode, why := range map[os.FileMode]string{0o777: "everybody", 0o770: "3770", 0o750: "700", 0o701: "everybody"} {
		path := newDomain(t)
		must(t, os.Chmod(path, mode))
		_, err := Open(path)
		mustBe(t, err, ErrUntrustedDomain)
		if !strings.Contains(err.Error(), why) {
			t.Errorf("%o: %v", mode, err)
		}
	}
	file := newDomain(t) + "/file"
	must(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(file)
	mustBe(t, err, ErrUntrustedDomain)
	link := newDomain(t) + "/link"
	must(t, os.Symlink(newDomain(t), link))
	_, err = Open(link)
	mustBe(t, err, ErrUntrustedDomain)
	if distrust(1, 0o3770, visitor{2, true}) != "" || distrust(1, 0o3770, visitor{1, false}) != "" {
		t.Error("a domain of a group is refused")
	}
	if !strings.Contains(distrust(1, 0o3770, visitor{2, false}), "not in its group") || !strings.Contains(distrust(1, 0o700, visitor{2, true}), "user 1") {
		t.Error("a stranger is let in")
	}
}
