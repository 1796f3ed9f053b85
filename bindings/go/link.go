package sharesock

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

const (
	// The kernel's bound on what waits unread on a link, in bytes; it takes what it allows.
	sendBuffer = 4 << 20
	// A link that is turned away before its greeting came is opened again, so often.
	linkAttempts   = 4
	greetingWithin = 5 * time.Second
	pause          = 10 * time.Millisecond
)

// link is a socket that the runtime watches.
type link struct {
	file *os.File
	raw  syscall.RawConn
}

func newLink(fd int) (*link, error) {
	file := os.NewFile(uintptr(fd), "sharesock")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, system("watching a socket", err)
	}
	return &link{file, raw}, nil
}

// use calls act with the descriptor, which stays open meanwhile.
func (l *link) use(act func(fd int) error) error {
	var err error
	if closed := l.raw.Control(func(fd uintptr) { err = act(int(fd)) }); closed != nil {
		return os.ErrClosed
	}
	return err
}

// wait waits until ready returns true. It calls ready whenever something can be read since.
func (l *link) wait(ready func(fd int) bool) error {
	return l.raw.Read(func(fd uintptr) bool { return ready(int(fd)) })
}

// watch is closed when wait would return.
func (l *link) watch(ready func(fd int) bool) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.wait(ready)
	}()
	return done
}

// close closes a link to a stranger, who may have put anything into its queue.
func (l *link) close() {
	_ = l.use(func(fd int) error {
		// From now on nothing comes in, so that what is seen to be empty stays empty.
		_ = syscall.Shutdown(fd, syscall.SHUT_RDWR)
		return nil
	})
	l.closeQueue()
}

// closeQueue closes an end of a queue, of which somebody else may have a descriptor. It takes nothing out: if something is in it,
// there is another descriptor meanwhile, which is closed elsewhere.
func (l *link) closeQueue() {
	again := -1
	_ = l.use(func(fd int) (err error) {
		if sys.QueuedDescriptors(fd) {
			again, err = dup(fd)
		}
		return err
	})
	_ = l.file.Close()
	if again >= 0 {
		closeElsewhere(again)
	}
}

// closeListener closes what listens for links, and some that wait there: each is a link like any other.
func (l *link) closeListener() {
	for range closeBatch {
		fd, err := acceptLink(l)
		if err != nil {
			break
		}
		if waiting, err := newLink(fd); err == nil {
			waiting.close()
		}
	}
	l.closeQueue()
}

func dup(fd int) (int, error) {
	again, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(again), nil
}

var errNoFrame = errors.New("no frame of this protocol")

// readFrame takes one frame with its descriptors, without waiting. The end of a link is os.ErrClosed. Without a free
// descriptor the message stays, and the error is EMFILE.
func readFrame(fd int, most int) (wire.Frame, []int, error) {
	buffer := make([]byte, wire.FrameSize)
	message, err := sys.Receive(fd, buffer, most, sys.Peek)
	switch {
	case err != nil:
		return wire.Frame{}, nil, err
	case message.Lacking && len(message.Descriptors) < most:
		closeAll(message.Descriptors)
		return wire.Frame{}, nil, syscall.EMFILE
	case message.Length == 0:
		closeAll(message.Descriptors)
		return wire.Frame{}, nil, os.ErrClosed
	}
	frame, ok := wire.ReadFrame(buffer)
	if !ok || message.Length != wire.FrameSize || len(message.Descriptors) > most || message.Lacking {
		closeAll(message.Descriptors)
		return wire.Frame{}, nil, errNoFrame
	}
	if err := sys.Drop(fd); err != nil {
		closeAll(message.Descriptors)
		return wire.Frame{}, nil, err
	}
	return frame, message.Descriptors, nil
}

// hasInput tells whether a frame, or the end, can be read.
func hasInput(fd int) bool { return sys.Ready(fd, sys.In) }

// atEnd tells whether the other side of a link is gone and nothing of it waits.
func atEnd(fd int) bool {
	n, _, err := syscall.Recvfrom(fd, make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return n <= 0 && err != syscall.EAGAIN && err != syscall.EINTR
}

// addressee is who is to listen at the other end of a link: a process, or one of which only an info tells.
type addressee struct {
	wire.Who
	process *wire.Process
}

// outgoing is a link that was opened, and who listens there.
type outgoing struct {
	*link
	peer *peer
}

func (o *outgoing) close() {
	o.link.close()
	o.peer.close()
}

// reach connects to where a process listens. Who listens is the kernel's word, not the name's.
func (d *domain) reach(me *identity, to addressee, suffix string) (*outgoing, error) {
	fd, err := seqpacket()
	if err != nil {
		return nil, system("opening a link", err)
	}
	switch err := connect(fd, at(d.folder, to.Name(suffix))); err {
	case nil:
	case syscall.ENOENT, syscall.ECONNREFUSED:
		_ = syscall.Close(fd)
		if err == syscall.ECONNREFUSED && to.process != nil && to.process.Namespace != me.Namespace {
			// It cannot be seen from here, but it did not remove its name, as whoever closes its endpoint does.
			return nil, fail(ErrNoSuchProcess, "process %d", to.ID)
		}
		return nil, d.noEndpoint(to.ID)
	case syscall.EAGAIN:
		_ = syscall.Close(fd)
		return nil, fail(ErrQueueFull, "process %d", to.ID)
	default:
		_ = syscall.Close(fd)
		return nil, system("opening a link", err)
	}
	listener, err := peerOf(me, fd)
	if err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	l, err := newLink(fd)
	if err != nil {
		listener.close()
		return nil, err
	}
	return &outgoing{l, listener}, nil
}

// open reaches a process, and says who is here, with these descriptors.
func (d *domain) open(me *identity, to addressee, suffix string, descriptors ...int) (*outgoing, error) {
	for range linkAttempts {
		o, err := d.reach(me, to, suffix)
		if err != nil {
			return nil, err
		}
		// A child that it forked may have its listener still.
		if o.peer.hasEnded() {
			o.close()
			return nil, d.noEndpoint(to.ID)
		}
		if to.process != nil && !o.peer.is(me, *to.process) || to.process == nil && !o.peer.mayBe(to.Who) {
			answered := o.peer.pid
			o.close()
			return nil, fail(ErrImpostor, "process %d was meant, and process %d answers", to.ID, answered)
		}
		err = o.use(func(fd int) error {
			_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
			return sys.Send(fd, wire.Frame{Kind: wire.Hello, Process: me.Process}.Bytes(), descriptors...)
		})
		if err == nil {
			return o, nil
		}
		o.close()
		switch err {
		case syscall.EPIPE, syscall.ECONNRESET:
			// It made room for other links, or has ended.
		case syscall.ETOOMANYREFS:
			return nil, fail(ErrTooManyInFlight, "greeting process %d", to.ID)
		default:
			return nil, system("opening a link", err)
		}
	}
	return nil, d.noEndpoint(to.ID)
}

func (d *domain) noEndpoint(pid uint32) error {
	return fail(ErrNoEndpoint, "process %d in %s", pid, d.path)
}

// links are those over which this process delivers, by target.
type links struct {
	sync.Mutex
	open map[wire.Process]*outgoing
	// Which of them has which id here.
	pids map[int]wire.Process
	// With so many links, those to targets that have ended are closed.
	tidyAt int
}

const fewLinks = 64

// find looks a target up. While a process to which a link leads lives, nobody else has its id.
func (l *links) find(me *identity, target Target) (wire.Process, error) {
	pid, isPID := target.(PID)
	if !isPID {
		return target.find(me)
	}
	l.Lock()
	process, known := l.pids[int(pid)]
	if o := l.open[process]; known && o != nil && o.peer.pidfd >= 0 && !o.peer.hasEnded() {
		l.Unlock()
		return process, nil
	}
	l.Unlock()
	process, err := target.find(me)
	if err == nil {
		l.Lock()
		if len(l.pids) >= backlog {
			clear(l.pids)
		}
		l.pids[int(pid)] = process
		l.Unlock()
	}
	return process, err
}

// deliver sends one duplicate, opening a link when there is none. A second descriptor is its gate.
//
// ErrNoEndpoint, ErrQueueFull and ErrTooManyInFlight may pass; others stay.
func (l *links) deliver(d *domain, me *identity, target wire.Process, frame wire.Frame, descriptors []int) error {
	l.Lock()
	defer l.Unlock()
	o := l.open[target]
	for attempt := 0; ; attempt++ {
		if o == nil {
			opened, err := d.open(me, addressee{target.Who(), &target}, "")
			if err != nil {
				return err
			}
			o = opened
			l.keep(target, o)
		} else if o.peer.hasEnded() {
			l.forget(target)
			return fail(ErrNoSuchProcess, "process %d", target.ID)
		}
		err := o.use(func(fd int) error { return sys.Send(fd, frame.Bytes(), descriptors...) })
		switch err {
		case nil:
			return nil
		case syscall.EAGAIN:
			return fail(ErrQueueFull, "process %d", target.ID)
		case syscall.ETOOMANYREFS:
			return fail(ErrTooManyInFlight, "process %d", target.ID)
		case syscall.EPIPE, syscall.ECONNRESET, os.ErrClosed:
			// The target closed this link: it ended, or it opened a new endpoint.
			l.forget(target)
			if attempt > 0 {
				return d.noEndpoint(target.ID)
			}
			o = nil
		default:
			return system("delivering a duplicate", err)
		}
	}
}

func (l *links) keep(target wire.Process, o *outgoing) {
	if len(l.open) >= l.tidyAt {
		for process, other := range l.open {
			if other.peer.hasEnded() || other.use(func(fd int) error { return hungUp(fd) }) != nil {
				l.forget(process)
			}
		}
		for pid, process := range l.pids {
			if l.open[process] == nil {
				delete(l.pids, pid)
			}
		}
		l.tidyAt = max(2*len(l.open), fewLinks)
	}
	l.open[target] = o
}

func (l *links) forget(target wire.Process) {
	if o := l.open[target]; o != nil {
		o.close()
		delete(l.open, target)
	}
}

// hungUp is an error when the other side of a link is gone.
func hungUp(fd int) error {
	if sys.Ready(fd, sys.Hup) {
		return os.ErrClosed
	}
	return nil
}

// waitContext waits for a channel, for a context, and for a time if that is not 0; true when it was the channel or the time.
func waitContext(ctx context.Context, done <-chan struct{}, time <-chan time.Time) bool {
	select {
	case <-done:
		return true
	case <-time:
		return true
	case <-ctx.Done():
		return false
	}
}
