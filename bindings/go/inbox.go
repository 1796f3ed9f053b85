package sharesock

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

const (
	// So much is read, and so many links are accepted, before others get their turn at the inbox.
	budget = 256
	// So many links may be of one process, which needs one.
	linksOfProcess = 64
	// So many links whose sources have ended are kept for what was delivered over them; the oldest go first.
	mostEnded = 1024
)

// inbox is where a process receives duplicates: the links over which others deliver, and what is read from them.
type inbox struct {
	sync.Mutex
	me       *identity
	listener *link
	links    []*incoming
	// With so many links, those that are at their end are closed.
	tidyAt int
	arrived
}

// incoming is a link over which another process delivers to this one.
type incoming struct {
	*link
	// Nothing until the process at its other end has said who it is, and the kernel agreed.
	source *wire.Who
	// The same, of a link that it opened.
	opener *opener
	since  time.Time
	// What it says who it is, until the kernel was asked.
	greeting *wire.Process
	// What this process claimed over it and still waits for; and what is closed when something has come since.
	claim    *wire.Token
	answered <-chan struct{}
}

// whole is how many links may wait to be accepted: the kernel lets one more wait than it is told.
const whole = mostLinks + 1

func newInbox(me *identity, listener *link) *inbox {
	return &inbox{me: me, listener: listener, tidyAt: fewLinks, arrived: newArrived(me)}
}

var (
	errNothing  = errors.New("it has not arrived")
	errGoOn     = errors.New("there is more to read")
	errLinkOver = errors.New("the link is at its end, or what came over it was no frame")
)

// search looks for a duplicate until all is read that waited when it began. backlog bounds the links that it accepts: so it
// ends, however fast others open links. It is errNothing when it has not arrived.
func (b *inbox) search(k key, backlog int) (int, error) {
	again := true
	for {
		b.Lock()
		fd, err := b.take(k, &backlog, &again)
		b.Unlock()
		if err != errGoOn {
			return fd, err
		}
		// Others who wait for the inbox come first.
		runtime.Gosched()
	}
}

func (b *inbox) take(k key, backlog *int, again *bool) (int, error) {
	if f := b.fates[k]; f != nil && !mayChange(f) {
		return -1, f.error(k)
	}
	w, err := b.lookFor(k, backlog)
	if err == errNothing && b.fates[k] != nil && *again {
		// Its source has said that it does not hold it any longer: it may have delivered it just before.
		*again, *backlog = false, whole
		w, err = b.lookFor(k, backlog)
	}
	switch {
	case err == nil:
		return b.arrived.open(k, w)
	case err == errNothing:
		if f := b.consult(k); f != nil {
			return -1, f.error(k)
		}
	}
	return -1, err
}

func (b *inbox) lookFor(k key, backlog *int) (waiting, error) {
	if w, found := b.arrived.take(k); found {
		return w, nil
	}
	if w, err := b.readLinks(k); err != errNothing {
		return w, err
	}
	// Not on a link that was known: the source has opened one since.
	all, err := b.accept(backlog)
	if err != nil {
		return waiting{}, err
	}
	w, err := b.readLinks(k)
	if err == errNothing && !all {
		err = errGoOn
	}
	return w, err
}

// readLinks reads the links of the source, then those that did not say whose they are, until the duplicate turns up.
func (b *inbox) readLinks(k key) (waiting, error) {
	left := budget
	for _, source := range []*wire.Who{&k.source, nil} {
		for at := 0; at < len(b.links); {
			in := b.links[at]
			// One that has just said that it is the source's is read to its end.
			ofSource := in.source != nil && *in.source == k.source
			if !ofSource && (source != nil || in.source != nil) {
				at++
				continue
			}
			if err := b.makeRoom(k.source, b.hasMore); err != nil {
				return waiting{}, err
			}
			if left == 0 {
				return waiting{}, errGoOn
			}
			greets := in.source == nil
			arrived, w, err := b.read(in)
			switch {
			case err == syscall.EAGAIN:
				// A link on which nothing is costs others no turn.
				at++
				continue
			case err == errLinkOver, err == nil && w != nil && arrived != k && !b.keep(arrived, *w):
				// A token that comes twice is no honest source's.
				b.closeLink(at)
			case err != nil:
				return waiting{}, err
			case w != nil && arrived == k:
				return *w, nil
			case greets && in.source != nil && !b.mayStay(in):
				b.closeLink(at)
			}
			left--
		}
	}
	return waiting{}, errNothing
}

func (b *inbox) hasMore(source wire.Who) bool {
	return slices.ContainsFunc(b.links, func(in *incoming) bool { return in.source != nil && *in.source == source })
}

// mayStay tells whether the process and the user whose link this is may have one more than the others.
func (b *inbox) mayStay(new *incoming) bool {
	if new.opener == nil {
		return true
	}
	return quotaOf(descriptorLimit(), linksOfProcess).admits(*new.opener, func(yield func(opener) bool) {
		for _, in := range b.links {
			if in != new && in.opener != nil && !yield(*in.opener) {
				return
			}
		}
	})
}

func (b *inbox) closeLink(at int) {
	in := b.links[at]
	b.links = slices.Delete(b.links, at, at+1)
	in.close()
}

// read takes one frame. A duplicate is returned; EAGAIN is that nothing waits.
func (b *inbox) read(in *incoming) (key, *waiting, error) {
	var k key
	var w *waiting
	err := in.use(func(fd int) (err error) {
		k, w, err = b.readFrom(in, fd)
		return err
	})
	if err == os.ErrClosed {
		err = errLinkOver
	}
	return k, w, err
}

func (b *inbox) readFrom(in *incoming, fd int) (key, *waiting, error) {
	none := key{}
	if in.source == nil && in.greeting != nil {
		// Who it was does not matter when nothing came with it: to ask takes longer than all else.
		if atEnd(fd) {
			return none, nil, errLinkOver
		}
		p, err := peerOf(b.me, fd)
		if err != nil {
			return none, nil, err
		}
		defer p.close()
		if !p.is(b.me, *in.greeting) {
			return none, nil, errLinkOver
		}
		// What one says that has ended uses up nobody's quota.
		if !p.hasEnded() {
			in.opener = &opener{*in.greeting, p.uid}
		}
		who := in.greeting.Who()
		in.source = &who
		return none, nil, nil
	}
	frame, fds, err := readFrame(fd, 2)
	switch {
	case err == syscall.EAGAIN:
		return none, nil, err
	case isPassing(err):
		return none, nil, system("receiving a duplicate", err)
	case err != nil:
		if in.source != nil && in.claim != nil {
			b.note(key{*in.source, *in.claim}, ErrSourceGone)
		}
		return none, nil, errLinkOver
	}
	switch {
	case frame.Kind == wire.Hello && len(fds) == 0 && in.source == nil:
		// Asked when it is read next: that may fail for want of a descriptor, and is then repeated.
		in.greeting = &frame.Process
		return none, nil, nil
	case frame.Kind == wire.Deliver && in.source != nil && len(fds) > 0 && frame.Gated == (len(fds) == 2):
		// Of which socket the info speaks, its token says: nobody can put another in its place.
		if checkSocket(fds[0], &frame) != nil {
			break
		}
		if in.claim != nil && *in.claim == frame.Token {
			in.claim = nil
			_ = syscall.Shutdown(fd, syscall.SHUT_RDWR)
		}
		w := &waiting{fds[0], frame.Expires, -1}
		if frame.Gated {
			w.gate = fds[1]
		}
		return key{*in.source, frame.Token}, w, nil
	case frame.Kind == wire.Refuse && len(fds) == 0 && in.claim != nil && *in.claim == frame.Token:
		why := [...]fate{wire.NotHeld: ErrUnknownDelivery, wire.Expired: ErrExpired, wire.Revoked: ErrRevoked}[frame.Reason]
		b.note(key{*in.source, frame.Token}, why)
	}
	closeAll(fds)
	return none, nil, errLinkOver
}

// accept accepts links that others opened; false when there may be more of the backlog than is fair at once.
func (b *inbox) accept(backlog *int) (bool, error) {
	most := quotaOf(descriptorLimit(), linksOfProcess).links
	b.hush()
	for accepted := range budget {
		if len(b.links) >= b.tidyAt {
			b.tidy(most)
		}
		// More wait in the backlog, with all that was delivered over them.
		if len(b.links) >= most {
			if accepted > 0 {
				// What came over these may show that some need not stay.
				return false, nil
			}
			return false, fail(ErrTooManyLinks, "%d", most)
		}
		if *backlog == 0 {
			return true, nil
		}
		fd, err := acceptLink(b.listener)
		if err == syscall.EAGAIN {
			return true, nil
		} else if err != nil {
			return false, system("accepting a link", err)
		}
		*backlog--
		l, err := newLink(fd)
		if err != nil {
			return false, err
		}
		if atEnd(fd) {
			l.close()
			continue
		}
		b.links = append(b.links, &incoming{link: l, since: time.Now()})
		// Each leaves room for the next.
		if accepted%fewLinks == fewLinks-1 {
			b.hush()
		}
	}
	return *backlog == 0, nil
}

// acceptLink accepts one link, without waiting.
func acceptLink(listener *link) (fd int, err error) {
	err = listener.use(func(at int) error {
		for {
			fd, _, err = syscall.Accept4(at, syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
			if err != syscall.EINTR && err != syscall.ECONNABORTED {
				return err
			}
		}
	})
	return fd, err
}

// hush closes links that have not said for too long whose they are, and the oldest of too many such.
func (b *inbox) hush() {
	silent := 0
	for _, in := range b.links {
		if in.source == nil {
			silent++
		}
	}
	if silent == 0 {
		return
	}
	now, surplus := time.Now(), silent-quotaOf(descriptorLimit(), linksOfProcess).silent()
	b.retain(func(in *incoming) bool {
		if in.source != nil {
			return true
		}
		// Those that came first are first; one whose greeting has come is read next.
		speaks := in.use(func(fd int) error {
			if hasInput(fd) {
				return errGoOn
			}
			return nil
		}) == errGoOn
		if speaks || surplus <= 0 && now.Sub(in.since) <= greetingWithin {
			return true
		}
		surplus--
		return false
	})
}

// tidy closes links that are at their end, and of those that have something left the oldest, if they are too many.
func (b *inbox) tidy(most int) {
	ended := 0
	b.retain(func(in *incoming) bool {
		stays := true
		_ = in.use(func(fd int) error {
			stays = !atEnd(fd)
			if stays && hungUp(fd) != nil {
				ended++
			}
			return nil
		})
		return stays
	})
	surplus := ended - min(mostEnded, most/4)
	b.retain(func(in *incoming) bool {
		if surplus > 0 && in.use(hungUp) != nil {
			surplus--
			return false
		}
		return true
	})
	b.tidyAt = min(max(2*len(b.links), min(fewLinks, (most+3)/4)), most)
}

func (b *inbox) retain(stays func(*incoming) bool) {
	b.links = slices.DeleteFunc(b.links, func(in *incoming) bool {
		if stays(in) {
			return false
		}
		in.close()
		return true
	})
}

// claimOf is the link on which the answer to a claim is awaited, if there is one.
func (b *inbox) claimOf(k key) *incoming {
	for _, in := range b.links {
		if in.claim != nil && *in.claim == k.token && *in.source == k.source {
			return in
		}
	}
	return nil
}

// answerTo is closed when something has come on the link on which the answer to a claim is awaited; nil without such a link.
func (b *inbox) answerTo(k key) <-chan struct{} {
	b.Lock()
	defer b.Unlock()
	in := b.claimOf(k)
	if in == nil {
		return nil
	}
	select {
	case <-in.answered:
		// What came was read, and was not the answer.
		in.answered = in.watch(hasInput)
	default:
	}
	return in.answered
}

// awaitClaim awaits the answer to a claim on a link.
func (b *inbox) awaitClaim(k key, l *link) {
	b.Lock()
	defer b.Unlock()
	if b.claimOf(k) != nil {
		// Another goroutine was faster.
		l.close()
		return
	}
	// A source that never answers is asked over so many links, and no more.
	oldest, count := -1, 0
	for at, in := range b.links {
		if in.claim != nil && *in.source == k.source {
			if count++; oldest < 0 {
				oldest = at
			}
		}
	}
	if count >= linksOfProcess {
		b.closeLink(oldest)
	}
	in := &incoming{link: l, source: &k.source, claim: &k.token, since: time.Now(), answered: l.watch(hasInput)}
	b.links = append(b.links, in)
}

func (b *inbox) close() {
	b.Lock()
	defer b.Unlock()
	b.retain(func(*incoming) bool { return false })
	b.arrived.close()
	b.listener.closeListener()
}
