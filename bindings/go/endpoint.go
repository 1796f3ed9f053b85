package sharesock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

const (
	// How long a source may take to answer a claim.
	answerWithin = 5 * time.Second
	// So long after a source was asked, all that waits is read: a source that lives answers sooner.
	readAllAfter = 10 * time.Millisecond
)

// Endpoint is where a process meets others in one domain. It is safe for use by many goroutines. A process has one in each
// domain: whoever opens it again gets the same, which is closed when all have closed it.
type Endpoint struct {
	*core
	closed atomic.Bool
}

// core is what the endpoints of one domain have in common.
type core struct {
	me     *identity
	domain *domain
	inbox  *inbox
	links  links
	held   *held
	users  int
	// What a child inherited for a receiver that it may open, or -1.
	newborn int
}

// opened has the endpoints of this process, by device and inode of their domains; and these, which stay open: what is being
// done in one while its endpoint is closed must not happen elsewhere.
var opened = struct {
	sync.Mutex
	cores   map[[2]uint64]*core
	domains map[[2]uint64]*domain
}{cores: map[[2]uint64]*core{}, domains: map[[2]uint64]*domain{}}

// Open opens the endpoint of this process in the domain at path, a directory that is made if it does not exist. Without a
// path that is $SHARESOCK_DOMAIN, else the default of this user. Open it early: what is shared with a process that has no
// endpoint waits with its source, which must live until then.
func Open(path string) (*Endpoint, error) {
	me, err := self()
	if err != nil {
		return nil, err
	}
	d, err := openDomain(path)
	if err != nil {
		return nil, err
	}
	opened.Lock()
	defer opened.Unlock()
	place := d.place()
	if known := opened.domains[place]; known != nil {
		d.close()
		d = known
	}
	opened.domains[place] = d
	if c := opened.cores[place]; c != nil {
		c.users++
		return &Endpoint{core: c}, nil
	}
	c := &core{me: me, domain: d, links: links{open: map[wire.Process]*outgoing{}, pids: map[int]wire.Process{}}, users: 1, newborn: -1}
	c.held = newHeld(c)
	fd, err := c.inherit()
	if err == nil && fd < 0 {
		d.sweep(me)
		fd, err = d.listen(me.Who().Name(""), ErrEndpointOpen)
	}
	if err != nil {
		return nil, err
	}
	listener, err := newLink(fd)
	if err != nil {
		return nil, err
	}
	c.inbox = newInbox(me, listener)
	opened.cores[place] = c
	return &Endpoint{core: c}, nil
}

// Close closes the endpoint: what was delivered and not redeemed is closed, what is held for others is given up. Call
// [Endpoint.Flush] before it to wait for those.
func (e *Endpoint) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	opened.Lock()
	defer opened.Unlock()
	c := e.core
	if c.users--; c.users > 0 {
		return nil
	}
	delete(opened.cores, c.domain.place())
	c.domain.remove(c.me.Who().Name(""))
	c.held.stop()
	c.inbox.close()
	c.links.Lock()
	for process := range c.links.open {
		c.links.forget(process)
	}
	c.links.Unlock()
	if c.newborn >= 0 {
		c.domain.remove(c.me.Who().Name(handOffSuffix))
		closeElsewhere(c.newborn)
	}
	return nil
}

// Process is this process, by the name that others in other PID namespaces can use.
func (e *Endpoint) Process() Process { return Process{e.me.Process} }

// Domain is the path of the directory in which this endpoint meets others.
func (e *Endpoint) Domain() string { return e.domain.path }

// Share duplicates a socket for a process (WSADuplicateSocket): whoever has the 628 bytes that it returns lets that process,
// and no other, redeem one more descriptor of the same underlying socket, once. The socket stays the caller's. It never waits.
//
// socket is a *net.TCPConn, *net.TCPListener, *net.UDPConn, *net.UnixConn or anything else with a socket of its own.
// If the target has no endpoint yet, or has too much waiting, this process holds the duplicate, until it ends.
func (e *Endpoint) Share(socket syscall.Conn, target Target, options ...Option) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	settings := apply(options)
	process, err := e.links.find(e.me, target)
	if err != nil {
		return nil, err
	}
	var info []byte
	err = withSocket(socket, func(fd int) (err error) {
		info, err = e.duplicate(fd, process, settings)
		return err
	})
	return info, err
}

// Offer offers a duplicate to whoever in the domain redeems it first, once, within a time: for those who do not know their
// target. The 628 bytes are a bearer token, unlike those of [Endpoint.Share]: treat them as a secret. The offer ends with this
// process, and [Endpoint.Flush] does not wait for it. With [OfUser], only processes of that user may have it.
func (e *Endpoint) Offer(socket syscall.Conn, within time.Duration, options ...Option) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	settings := apply(append(options, Expires(within)))
	if within <= 0 {
		return nil, fail(ErrExpired, "an offer for %v", within)
	}
	var info []byte
	err := withSocket(socket, func(fd int) error {
		frame, entry, descriptors, err := e.prepare(fd, settings)
		if err != nil {
			return err
		}
		if err := e.hold(heir{offer: true, uid: settings.uid}, frame, descriptors); err != nil {
			return err
		}
		offer := wire.Info{Entry: entry, Token: frame.Token, Source: e.me.Who(), Domain: e.domain.digest(), Held: true}
		info = offer.Bytes()
		return nil
	})
	return info, err
}

// prepare describes a duplicate, and what goes with it: the socket, and its gate if it can be revoked.
func (c *core) prepare(fd int, settings settings) (wire.Frame, *wire.Entry, []int, error) {
	cookie, entry, err := describe(fd)
	if err != nil {
		return wire.Frame{}, nil, nil, err
	}
	var random [8]byte
	_, _ = rand.Read(random[:])
	frame := wire.Frame{Kind: wire.Deliver, Token: wire.NewToken(random, cookie), Cookie: cookie}
	if settings.expires > 0 {
		frame.Expires = c.me.now() + uint64(settings.expires)
	} else if settings.expires < 0 {
		return wire.Frame{}, nil, nil, fail(ErrExpired, "a time to expire of %v", settings.expires)
	}
	descriptors := []int{fd}
	if settings.revocation != nil {
		gate, err := sys.NewGate(1)
		if err != nil {
			return wire.Frame{}, nil, nil, system("making a duplicate revocable", err)
		}
		settings.revocation.set(gate, c.held, frame.Token)
		frame.Gated, descriptors = true, append(descriptors, gate)
	}
	return frame, entry, descriptors, nil
}

func (c *core) duplicate(fd int, target wire.Process, settings settings) ([]byte, error) {
	frame, entry, descriptors, err := c.prepare(fd, settings)
	if err != nil {
		return nil, err
	}
	isHeld := false
	switch err := c.links.deliver(c.domain, c.me, target, frame, descriptors); {
	case err == nil:
	case errors.Is(err, ErrNoEndpoint) || errors.Is(err, ErrQueueFull) || errors.Is(err, ErrTooManyInFlight):
		if err := c.hold(heir{target: target}, frame, descriptors); err != nil {
			return nil, err
		}
		isHeld = true
	default:
		return nil, err
	}
	info := wire.Info{
		Entry: entry, Token: frame.Token, Target: target.Who(), Source: c.me.Who(), Domain: c.domain.digest(), Held: isHeld,
	}
	return info.Bytes(), nil
}

func (c *core) hold(heir heir, frame wire.Frame, descriptors []int) error {
	entry := heldEntry{heir: heir, frame: frame}
	for _, fd := range descriptors {
		again, err := dup(fd)
		if err != nil {
			closeAll(entry.fds)
			return system("holding a duplicate for its target", err)
		}
		entry.fds = append(entry.fds, again)
	}
	err := c.held.hold(entry)
	if err != nil {
		closeAll(entry.fds)
	}
	return err
}

// check refuses an endpoint that was closed.
func (e *Endpoint) check() error {
	if e.closed.Load() {
		return fail(ErrClosed, "the endpoint in %s", e.domain.path)
	}
	return nil
}

// redeem takes a descriptor of what an info names.
func (e *Endpoint) redeem(ctx context.Context, bytes []byte) (int, error) {
	if err := e.check(); err != nil {
		return -1, err
	}
	c := e.core
	info, err := wire.ReadInfo(bytes)
	switch {
	case err != nil:
		return -1, &Error{Kind: ErrBadInfo, Cause: err}
	case info.Empty:
		return -1, fail(ErrNothingToRedeem, "it describes the protocol %s", info.Entry.Name)
	case info.Target != c.me.Who() && !info.IsOffer():
		return -1, fail(ErrWrongProcess, "it is for process %d, and this is process %d", info.Target.ID, c.me.ID)
	case info.Domain != c.domain.digest():
		return -1, fail(ErrWrongDomain, "this is %s", c.domain.path)
	}
	k, backlog := key{info.Source, info.Token}, whole
	if info.Held {
		// It is rather had by asking its source.
		backlog = budget
	}
	var asked time.Time
	var refused error
	due := []time.Duration{readAllAfter, answerWithin}
	for {
		fd, err := c.inbox.search(k, backlog)
		if info.IsOffer() && errors.Is(err, ErrUnknownDelivery) {
			// Somebody was faster, or may have it alone.
			err = ErrAlreadyRedeemed.error(k)
		}
		if err != errNothing {
			return fd, err
		}
		if !info.Held {
			return -1, ErrUnknownDelivery.error(k)
		}
		if refused != nil {
			return -1, refused
		}
		answer := c.inbox.answerTo(k)
		if answer == nil {
			if refused = c.claim(k); refused != nil {
				// It may have delivered it before.
				backlog = whole
			}
			continue
		}
		if asked.IsZero() {
			asked = time.Now()
		}
		if len(due) == 0 {
			return -1, ErrSourceSilent.error(k)
		}
		left := due[0] - time.Since(asked)
		if left <= 0 {
			// It may have delivered it before it was stopped.
			due, backlog = due[1:], whole
			continue
		}
		if !waitContext(ctx, answer, time.After(left)) {
			return -1, fmt.Errorf("sharesock: redeeming what process %d holds: %w", info.Source.ID, ctx.Err())
		}
	}
}

// claim asks the source of a duplicate that it holds for this process.
func (c *core) claim(k key) error {
	source := addressee{Who: k.source}
	o, err := c.domain.open(c.me, source, claimsSuffix)
	if err == nil {
		o.peer.close()
		err = o.use(func(fd int) error { return sys.Send(fd, wire.Frame{Kind: wire.Claim, Token: k.token}.Bytes()) })
		if err == nil {
			c.inbox.awaitClaim(k, o.link)
			return nil
		}
		o.link.close()
		if err == syscall.EPIPE || err == syscall.ECONNRESET {
			err = c.domain.noEndpoint(k.source.ID)
		} else {
			err = system("claiming a duplicate", err)
		}
	}
	if !errors.Is(err, ErrNoEndpoint) {
		return err
	}
	// A source that lives and does not listen for claims holds nothing any more.
	became := ErrSourceGone
	if o, err := c.domain.reach(c.me, source, ""); err == nil {
		if !o.peer.hasEnded() && o.peer.mayBe(k.source) {
			became = ErrUnknownDelivery
		}
		o.close()
	}
	c.inbox.Lock()
	c.inbox.note(k, became)
	c.inbox.Unlock()
	return nil
}

// Discard gives up what an info names: it is redeemed and closed.
func (e *Endpoint) Discard(ctx context.Context, info []byte) error {
	fd, err := e.redeem(ctx, info)
	if err == nil {
		closeForeign(fd)
	}
	return err
}

// Flush waits until nothing is held for others any more. It returns ErrStillHeld, and the context's error, if that ends before.
func (e *Endpoint) Flush(ctx context.Context) error { return e.held.flush(ctx) }

func countOf(n int) string { return fmt.Sprintf("%d of them", n) }
