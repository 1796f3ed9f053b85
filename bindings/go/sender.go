package sharesock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

const (
	// The most parcels that a target may leave untaken.
	mostUntaken = 4096
	// How long a target that lives may keep its queue to itself while parcels are reclaimed; it does for microseconds.
	settledWithin = 100 * time.Millisecond
	// So much of what a target says is read at a time.
	wordsAtATime = 16
	queueName    = "sharesock/"
)

// Sender hands sockets off to one process. Keep one for each target. It is safe for use by many goroutines.
type Sender struct {
	core   *core
	target wire.Process
	// Where the target was greeted: it hangs up when it closes its receiver.
	greeted *outgoing
	// Parcels go in at queue, and come out at back.
	queue, back *link
	mutex       sync.Mutex
	sent        ledger
	over        bool
	turnedAway  bool
	closed      bool
	// Closed when there may be room, while somebody waits for that.
	roomy chan struct{}
}

// ledger has the lengths of the messages that may still be in a queue, in order.
type ledger struct {
	messages []int
	bytes    int
}

func (l *ledger) push(bytes int) {
	l.messages = append(l.messages, bytes)
	l.bytes += bytes
}

// keep takes note that the queue holds so many bytes: messages leave it from the front.
func (l *ledger) keep(bytes int) {
	gone := 0
	for l.bytes > bytes && gone < len(l.messages) {
		l.bytes -= l.messages[gone]
		gone++
	}
	l.messages = slices.Delete(l.messages, 0, gone)
}

// NewSender opens a sender to a process that has a receiver, the unnamed one or one that is [Named].
func (e *Endpoint) NewSender(target Target, options ...Option) (*Sender, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	suffix, err := apply(options).suffix()
	if err != nil {
		return nil, err
	}
	process, err := target.find(e.me)
	if err != nil {
		return nil, err
	}
	in, out, err := makeQueue(process, suffix)
	if err != nil {
		return nil, system("making a queue for parcels", err)
	}
	queue, err := newLink(in)
	if err != nil {
		_ = syscall.Close(out)
		return nil, err
	}
	back, err := newLink(out)
	if err != nil {
		_ = queue.file.Close()
		return nil, err
	}
	greeted, err := e.domain.open(e.me, addressee{process.Who(), &process}, suffix, out)
	if err != nil {
		_ = queue.file.Close()
		_ = back.file.Close()
		return nil, err
	}
	return &Sender{core: e.core, target: process, greeted: greeted, queue: queue, back: back}, nil
}

// makeQueue makes a queue: where parcels go in, and where they come out. The second end has an abstract name, by which people
// who look can tell whose it is.
func makeQueue(target wire.Process, suffix string) (in, out int, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, -1, err
	}
	_ = syscall.SetsockoptInt(pair[0], syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
	if cookie, err := sys.Cookie(pair[1]); err == nil {
		name := fmt.Sprintf("@%s%s/%d", queueName, target.Who().Name(suffix), cookie)
		// It does without as well.
		_ = syscall.Bind(pair[1], &syscall.SockaddrUnix{Name: name})
	}
	return pair[0], pair[1], nil
}

// Target is the process to which it hands off.
func (s *Sender) Target() Process { return Process{s.target} }

// HandOff gives a socket away, with up to 65,536 bytes: unread input, or what else the two have agreed upon. It waits while the
// target has no room. If it succeeds, the socket is closed here, and lives on with the target, also if this process ends.
// If not, it stays the caller's.
//
// socket is a [net.Conn], a [net.Listener] or a [net.PacketConn] with a socket of its own; of a TLS connection the state would
// stay behind, so it is refused. Nobody else may be reading from it.
func (s *Sender) HandOff(socket io.Closer, bytes []byte) error {
	return s.HandOffContext(context.Background(), socket, bytes)
}

// HandOffContext is [Sender.HandOff] until ctx is done.
func (s *Sender) HandOffContext(ctx context.Context, socket io.Closer, bytes []byte) error {
	for {
		err := s.TryHandOff(socket, bytes)
		if !errors.Is(err, ErrHandOffFull) {
			return err
		}
		if !waitContext(ctx, s.watchRoom(), time.After(pause)) {
			return &Error{Kind: ErrHandOffFull, Detail: fmt.Sprintf("process %d", s.target.ID), Cause: ctx.Err()}
		}
	}
}

// watchRoom is closed when there may be room. One goroutine waits for all.
func (s *Sender) watchRoom() <-chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.roomy == nil {
		roomy := make(chan struct{})
		s.roomy = roomy
		go func() {
			_ = s.queue.raw.Write(func(fd uintptr) bool { return s.hasRoom(int(fd)) })
			s.mutex.Lock()
			defer s.mutex.Unlock()
			s.roomy = nil
			close(roomy)
		}()
	}
	return s.roomy
}

// hasRoom is asked while the queue is in use, for whose end a close waits under the lock: so it does not wait for that.
func (s *Sender) hasRoom(fd int) bool {
	if !s.mutex.TryLock() {
		return true
	}
	defer s.mutex.Unlock()
	return s.closed || s.room() > 0 && sys.Ready(fd, sys.Out)
}

// TryHandOff is [Sender.HandOff] without waiting: without room it returns ErrHandOffFull.
func (s *Sender) TryHandOff(socket io.Closer, bytes []byte) error {
	inner := any(socket)
	if u, isUnread := inner.(*unread); isUnread {
		// What came with it goes on with it, before what is added.
		u.mutex.Lock()
		defer u.mutex.Unlock()
		inner, bytes = u.Conn, append(slices.Clone(u.left), bytes...)
	}
	if len(bytes) > wire.MostBytes {
		return fail(ErrTooManyBytes, "%d of at most %d", len(bytes), wire.MostBytes)
	}
	err := withSocket(inner, func(fd int) error {
		if _, _, err := describe(fd); err != nil {
			return err
		}
		return s.send(wire.Load(bytes), fd)
	})
	if err != nil {
		return err
	}
	if path, isUnix := inner.(*net.UnixListener); isUnix {
		// Its name goes on.
		path.SetUnlinkOnClose(false)
	}
	closeOwn(inner)
	return nil
}

// closeOwn closes a socket of the program's own. If it lingers, there is another descriptor meanwhile, which is closed elsewhere:
// the last close is the one that waits.
func closeOwn(socket any) {
	again := -1
	_ = withSocket(socket, func(fd int) (err error) {
		if sys.Lingers(fd) {
			again, err = dup(fd)
		}
		return err
	})
	if closer, ok := socket.(io.Closer); ok {
		_ = closer.Close()
	}
	if again >= 0 {
		closeElsewhere(again)
	}
}

func (s *Sender) send(load []byte, socket int) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case s.closed:
		return fail(ErrClosed, "the sender to process %d", s.target.ID)
	case s.isOver():
		return s.gone()
	case s.room() == 0:
		return s.full()
	}
	err := s.queue.use(func(fd int) error { return sys.Send(fd, load, socket) })
	switch err {
	case nil:
		s.sent.push(len(load))
		return nil
	case syscall.EAGAIN, syscall.ETOOMANYREFS, syscall.ENOBUFS, syscall.ENOMEM:
		return s.full()
	case syscall.EPIPE, syscall.ECONNRESET:
		return s.gone()
	default:
		return system("handing off", err)
	}
}

func (s *Sender) full() error { return fail(ErrHandOffFull, "process %d", s.target.ID) }

// gone says why the target receives nothing more. It may have said so.
func (s *Sender) gone() error {
	s.over = true
	_ = s.greeted.use(func(fd int) error {
		for range wordsAtATime {
			frame, fds, err := readFrame(fd, 0)
			if err != nil {
				return err
			}
			closeAll(fds)
			s.turnedAway = s.turnedAway || frame.Kind == wire.TooMany
		}
		return nil
	})
	if s.turnedAway {
		return fail(ErrTurnedAway, "process %d", s.target.ID)
	}
	return fail(ErrTargetGone, "process %d", s.target.ID)
}

// isOver tells whether the target has ended, or closed its receiver.
func (s *Sender) isOver() bool {
	s.over = s.over || s.greeted.peer.hasEnded() || s.greeted.use(hungUp) != nil
	return s.over
}

// room is how many parcels may be sent.
func (s *Sender) room() int {
	if len(s.sent.messages) >= mostUntaken {
		s.count()
	}
	return max(mostUntaken-len(s.sent.messages), 0)
}

// count asks the kernel what is left in the queue.
func (s *Sender) count() int {
	_ = s.back.use(func(fd int) error {
		bytes, err := sys.QueuedBytes(fd)
		if err == nil {
			s.sent.keep(int(bytes))
		}
		return err
	})
	return len(s.sent.messages)
}

// Outstanding is how many of the sockets handed off the target's program has not taken.
func (s *Sender) Outstanding() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.closed {
		return 0
	}
	return s.count()
}

// Flush waits until the target's program has taken all that was handed off. It returns ErrNotTaken, and the context's error, if
// that is done before; ErrTargetGone when the target receives nothing more.
func (s *Sender) Flush(ctx context.Context) error {
	for {
		s.mutex.Lock()
		left, over := s.count(), s.isOver()
		if left > 0 && over {
			// It may have taken the last of them just before.
			if left = s.count(); left > 0 {
				defer s.mutex.Unlock()
				return s.gone()
			}
		}
		s.mutex.Unlock()
		if left == 0 {
			return nil
		}
		if !waitContext(ctx, nil, time.After(pause)) {
			return &Error{Kind: ErrNotTaken, Detail: countOf(left), Cause: ctx.Err()}
		}
	}
}

// Reclaim takes back what the target's program has not taken, exactly that, and closes the sender.
func (s *Sender) Reclaim() ([]*Parcel, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.closed {
		return nil, fail(ErrClosed, "the sender to process %d", s.target.ID)
	}
	_ = s.queue.use(func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_RDWR) })
	// A target that has closed its receiver has closed its end before the link.
	alone := s.greeted.peer.hasEnded() || s.greeted.use(hungUp) != nil
	s.over = true
	var parcels []*Parcel
	err := s.back.use(func(fd int) error {
		if !alone {
			if err := settle(fd); err != nil {
				return system("reclaiming what was handed off (its target was stopped while it took something; try again)", err)
			}
			defer sys.UnlockRecord(fd)
		}
		buffer := make([]byte, wire.MostLoad)
		for {
			look := sys.Peek
			if !alone {
				// A target that lives takes messages, too: then one that was looked at need not be the one that is taken.
				look = sys.Take
				if err := findRoom(fd); err != nil {
					return system("reclaiming what was handed off (descriptors are short; what was not taken waits)", err)
				}
			}
			parcel, err := takeParcel(fd, nil, buffer, look)
			if err == os.ErrClosed {
				// That was the last.
				return nil
			}
			if err != nil || parcel == nil {
				return err
			}
			parcels = append(parcels, parcel)
		}
	})
	if err != nil && len(parcels) == 0 {
		return nil, err
	}
	if err == nil {
		s.close()
	}
	return parcels, nil
}

// findRoom tells whether a message finds room for its descriptor, by trying with some more.
func findRoom(fd int) error {
	const some = 8
	for range some {
		again, err := dup(fd)
		if err != nil {
			return err
		}
		defer syscall.Close(again)
	}
	return nil
}

// settle waits until the target is not in the middle of taking something that it looked at before.
func settle(fd int) error {
	for started := time.Now(); ; time.Sleep(time.Millisecond) {
		err := sys.LockRecord(fd)
		if err == syscall.EAGAIN && time.Since(started) < settledWithin {
			continue
		}
		if err == syscall.EAGAIN {
			err = syscall.EBUSY
		}
		return err
	}
}

// Close closes the sender: all that it handed off is delivered, whatever becomes of this process.
func (s *Sender) Close() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.closed {
		s.close()
	}
	return nil
}

func (s *Sender) close() {
	s.closed = true
	s.queue.closeQueue()
	s.back.closeQueue()
	s.greeted.close()
}

// Done is closed when the target has ended, or closed its receiver, or this sender was closed.
func (s *Sender) Done() <-chan struct{} {
	done := make(chan struct{})
	over := s.greeted.watch(func(fd int) bool { return hungUp(fd) != nil })
	go func() {
		defer close(done)
		// Children of the target may keep the link open when it has ended.
		for !s.isDone() {
			waitContext(context.Background(), over, time.After(time.Second))
		}
	}()
	return done
}

func (s *Sender) isDone() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.closed || s.isOver()
}

// takeParcel takes the first message of a queue, whose sender is source; nil when there is none. os.ErrClosed is that nothing
// comes any more. If it looks before it takes, a message for which no descriptor is free stays, and the error is EMFILE. If not,
// the buffer has room for any message.
func takeParcel(fd int, source *Process, buffer []byte, look sys.Look) (*Parcel, error) {
	const doing = "receiving what was handed off"
	for {
		message, err := sys.Receive(fd, buffer, wire.MostParcels, look)
		switch {
		case err == syscall.ECONNRESET:
			// Its other end closed while something of ours lay there; what lies here is there nevertheless.
			continue
		case err == syscall.EAGAIN:
			return nil, nil
		case isPassing(err):
			return nil, system(doing, err)
		case err != nil, message.Length == 0, message.Length > wire.MostLoad:
			closeAll(message.Descriptors)
			return nil, os.ErrClosed
		case message.Length > len(buffer):
			closeAll(message.Descriptors)
			buffer = make([]byte, message.Length)
			continue
		case message.Lacking:
			closeAll(message.Descriptors)
			return nil, system(doing+" (no descriptor is free for it)", syscall.EMFILE)
		}
		// Nobody was told that more than one may come in one message.
		parts, ok := wire.ReadLoad(buffer[:message.Length], len(message.Descriptors))
		if !ok || len(parts) != 1 {
			closeAll(message.Descriptors)
			return nil, os.ErrClosed
		}
		if look == sys.Peek {
			if err := sys.Drop(fd); err != nil {
				closeAll(message.Descriptors)
				return nil, system(doing, err)
			}
		}
		return newParcel(message.Descriptors[0], slices.Clone(parts[0]), source), nil
	}
}
