package sharesock

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

const (
	mostHeld = 16_384
	// So many expired and revoked duplicates are remembered, to answer claims of them, and for so long.
	mostRemembered = 16_384
	rememberedFor  = time.Minute
	// How often it is asked whether a target lives that has no id here.
	askAfter = time.Second
	// So many links may be of one process, each of whose threads may claim something.
	claimsOfProcess = 1024
)

// held has the duplicates that could not be delivered. It listens for claims, and has goroutines, only while it has some,
// or could still tell why it has not.
type held struct {
	sync.Mutex
	core     *core
	entries  map[wire.Token]heldEntry
	targets  map[wire.Process]*heldTarget
	ended    map[wire.Token]heldEnd
	order    []wire.Token
	listener *link
	// Those that have not said who they are, in the order in which they came; and those that have.
	silent    []*link
	claimants map[*link]opener
	// Receives when there is something to do; closed and replaced when something is not held any more.
	wake    chan struct{}
	changed chan struct{}
	asked   time.Time
}

type heldEntry struct {
	heir
	frame wire.Frame
	// The socket, and its gate if it has one.
	fds []int
}

// heir is who may claim a duplicate: one process, or, of an offer, the first of a user, or of all if that is -1.
type heir struct {
	target wire.Process
	offer  bool
	uid    int64
}

func (h heir) is(claimant opener) bool {
	if h.offer {
		return h.uid < 0 || h.uid == int64(claimant.uid)
	}
	return h.target == claimant.process
}

// heldTarget is a process for which so much is held. Its watch tells its end; there is none of one that has no id here.
type heldTarget struct {
	count int
	watch *link
}

type heldEnd struct {
	heir
	reason byte
	at     time.Time
}

func newHeld(c *core) *held {
	return &held{
		core: c, entries: map[wire.Token]heldEntry{}, targets: map[wire.Process]*heldTarget{}, ended: map[wire.Token]heldEnd{},
		claimants: map[*link]opener{}, wake: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// hold keeps a duplicate for a target.
func (h *held) hold(entry heldEntry) error {
	h.Lock()
	defer h.Unlock()
	if len(h.entries) >= mostHeld {
		return fail(ErrQueueFull, "%d duplicates are held for their targets", mostHeld)
	}
	target := h.targets[entry.target]
	if entry.offer {
		target = &heldTarget{}
	} else if target == nil {
		watch, err := h.watch(entry.target)
		if err != nil {
			return err
		}
		target = &heldTarget{watch: watch}
	}
	if h.listener == nil {
		if err := h.listen(); err != nil {
			if target.watch != nil && target.count == 0 {
				_ = target.watch.file.Close()
			}
			return err
		}
	}
	if !entry.offer {
		h.targets[entry.target] = target
		target.count++
	}
	h.entries[entry.frame.Token] = entry
	h.ring()
	return nil
}

func (h *held) ring() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *held) listen() error {
	name := h.core.me.Who().Name(claimsSuffix)
	fd, err := h.core.domain.listen(name, ErrEndpointOpen)
	if err != nil {
		return err
	}
	if h.listener, err = newLink(fd); err != nil {
		return err
	}
	go h.accept(h.listener)
	go h.run(h.listener)
	return nil
}

// watch tells the end of a target; nil when it has no id here.
func (h *held) watch(target wire.Process) (*link, error) {
	if target.Namespace != h.core.me.Namespace {
		return nil, nil
	}
	pidfd, err := sys.PidfdOpen(target.ID)
	if err == syscall.ESRCH {
		return nil, fail(ErrNoSuchProcess, "process %d", target.ID)
	} else if err != nil {
		return nil, system("watching a target", err)
	}
	found, err := look(h.core.me, pidfd)
	if err == nil && (found.as == seenEnded || found.as == seenWhole && found.process != target) {
		err = fail(ErrNoSuchProcess, "process %d", target.ID)
	}
	if err != nil {
		_ = syscall.Close(pidfd)
		return nil, err
	}
	// The runtime waits for what does not block.
	_ = syscall.SetNonblock(pidfd, true)
	watch, err := newLink(pidfd)
	if err != nil {
		return nil, err
	}
	done := watch.watch(hasEnded)
	go func() {
		<-done
		h.forget(target, watch)
	}()
	return watch, nil
}

// forget drops all that is held for a process that has ended.
func (h *held) forget(target wire.Process, watch *link) {
	h.Lock()
	defer h.Unlock()
	if known := h.targets[target]; known == nil || known.watch != watch {
		return
	}
	for token, entry := range h.entries {
		if entry.target == target {
			h.end(token, wire.NotHeld)
		}
	}
	h.ring()
}

// remove stops holding one, whose descriptors are closed.
func (h *held) remove(token wire.Token) {
	entry, found := h.entries[token]
	if !found {
		return
	}
	delete(h.entries, token)
	if target := h.targets[entry.target]; target != nil && !entry.offer {
		if target.count--; target.count == 0 {
			delete(h.targets, entry.target)
			if target.watch != nil {
				_ = target.watch.file.Close()
			}
		}
	}
	closeAll(entry.fds)
	close(h.changed)
	h.changed = make(chan struct{})
}

// end drops one, and remembers why.
func (h *held) end(token wire.Token, reason byte) {
	entry, found := h.entries[token]
	if !found {
		return
	}
	h.remove(token)
	h.ended[token] = heldEnd{entry.heir, reason, time.Now()}
	h.order = append(h.order, token)
}

func (h *held) revoke(token wire.Token) {
	h.Lock()
	defer h.Unlock()
	h.end(token, wire.Revoked)
	h.ring()
}

// run drops what has expired, until nothing is left to do.
func (h *held) run(listener *link) {
	for {
		wait, done := h.tend(listener)
		if done {
			return
		}
		select {
		case <-h.wake:
		case <-time.After(wait):
		}
	}
}

// tend does what is due, and tells when something is due next, or that there is nothing to do any more.
func (h *held) tend(listener *link) (time.Duration, bool) {
	h.Lock()
	defer h.Unlock()
	if h.listener != listener {
		return 0, true
	}
	now, wait := h.core.me.now(), rememberedFor
	for token, entry := range h.entries {
		switch expires := entry.frame.Expires; {
		case expires == 0:
		case expires <= now:
			h.end(token, wire.Expired)
		default:
			wait = min(wait, time.Duration(min(expires-now, uint64(rememberedFor))))
		}
	}
	for len(h.order) > 0 && (len(h.order) > mostRemembered || time.Since(h.ended[h.order[0]].at) >= rememberedFor) {
		delete(h.ended, h.order[0])
		h.order = h.order[1:]
	}
	if h.hasForeign() {
		wait = min(wait, askAfter)
		if time.Since(h.asked) >= askAfter {
			h.asked = time.Now()
			h.askForeign()
		}
	}
	if len(h.entries) == 0 && len(h.ended) == 0 && len(h.claimants) == 0 && len(h.silent) == 0 {
		h.stopListening()
		return 0, true
	}
	if len(h.entries) == 0 && len(h.ended) == 0 {
		wait = min(wait, askAfter)
	}
	return wait, false
}

func (h *held) hasForeign() bool {
	for _, target := range h.targets {
		if target.watch == nil {
			return true
		}
	}
	return false
}

// askForeign asks about targets that have no id here: a name that refuses is that of a process which has ended, for whoever
// closes its endpoint removes it.
func (h *held) askForeign() {
	dead := map[wire.Process]bool{}
	for process, target := range h.targets {
		dead[process] = target.watch == nil && presenceAt(at(h.core.domain.folder, process.Who().Name(""))) == refuses
	}
	for token, entry := range h.entries {
		if dead[entry.target] {
			h.end(token, wire.NotHeld)
		}
	}
}

func (h *held) stopListening() {
	if h.listener == nil {
		return
	}
	h.core.domain.remove(h.core.me.Who().Name(claimsSuffix))
	h.listener.closeListener()
	h.listener = nil
}

// stop drops everything: the endpoint is closed.
func (h *held) stop() {
	h.Lock()
	defer h.Unlock()
	h.stopListening()
	for token := range h.entries {
		h.remove(token)
	}
	for claimant := range h.claimants {
		claimant.close()
	}
	for _, claimant := range h.silent {
		claimant.close()
	}
	h.ring()
}

// flush delivers what becomes deliverable, until nothing is held.
func (h *held) flush(ctx context.Context) error {
	for {
		h.Lock()
		h.deliver()
		left, changed := h.promised(), h.changed
		h.Unlock()
		if left == 0 {
			return nil
		}
		if !waitContext(ctx, changed, time.After(pause)) {
			return &Error{Kind: ErrStillHeld, Detail: countOf(left), Cause: ctx.Err()}
		}
	}
}

// promised is how many are held for somebody: an offer is for nobody in particular.
func (h *held) promised() (count int) {
	for _, entry := range h.entries {
		if !entry.offer {
			count++
		}
	}
	return count
}

// deliver delivers what has become deliverable.
func (h *held) deliver() {
	cannot := map[wire.Process]bool{}
	for token, entry := range h.entries {
		if entry.offer || cannot[entry.target] {
			continue
		}
		if h.core.links.deliver(h.core.domain, h.core.me, entry.target, entry.frame, entry.fds) == nil {
			h.remove(token)
		} else {
			cannot[entry.target] = true
		}
	}
	h.ring()
}
