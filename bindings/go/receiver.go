package sharesock

import (
	"context"
	"errors"
	"fmt"
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
	// So many queues may be of one process.
	queuesOfProcess = 256
	// How long a receiver that has as many queues as it may have waits before it asks whether it may have more by now.
	askForRoomAfter = time.Second
	// Most loads have so many bytes at most.
	smallLoad = 4096
)

// Receiver receives what other processes hand off to this one. It is a [net.Listener]: a server that is given one serves
// connections that others have accepted, and knows nothing of it. It is safe for use by many goroutines.
type Receiver struct {
	core     *core
	name     string
	listener *link
	mutex    sync.Mutex
	// Links that have not said whose they are, in the order in which they came.
	greetings []*link
	queues    map[*queue]struct{}
	// Queues that have something.
	due []*queue
	// Closed and replaced when something has become due, or there is room for queues.
	wake   chan struct{}
	room   chan struct{}
	closed bool
}

// queue is the receiving end of one sender's queue.
type queue struct {
	*link
	// The sender sees by it that this process receives.
	greeted *link
	source  *Process
	opener  opener
	// Receives when nothing was found in the queue; closed with it.
	rearm chan struct{}
}

// NewReceiver opens the receiver of this process, the unnamed one or one that is [Named]: from now on others can hand sockets
// off to it.
func (e *Endpoint) NewReceiver(options ...Option) (*Receiver, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	suffix, err := apply(options).suffix()
	if err != nil {
		return nil, err
	}
	name := e.me.Who().Name(suffix)
	fd := e.takeNewborn(name)
	if fd < 0 {
		if fd, err = e.domain.listen(name, ErrReceiverOpen); err != nil {
			return nil, err
		}
	}
	listener, err := newLink(fd)
	if err != nil {
		return nil, err
	}
	r := &Receiver{
		core: e.core, name: name, listener: listener, queues: map[*queue]struct{}{},
		wake: make(chan struct{}), room: make(chan struct{}),
	}
	go r.accept()
	return r, nil
}

// Receive takes one parcel, from each sender in its order, and waits until there is one or ctx is done. What is not taken when
// the process ends, or closes the receiver, is its sender's again.
//
// When no descriptor is free it returns an error that is EMFILE, and the parcel waits.
func (r *Receiver) Receive(ctx context.Context) (*Parcel, error) {
	for {
		parcel, wake, err := r.take()
		if parcel != nil || err != nil {
			return parcel, err
		}
		if !waitContext(ctx, wake, nil) {
			return nil, fmt.Errorf("sharesock: receiving what is handed off: %w", ctx.Err())
		}
	}
}

// TryReceive takes one parcel if there is one now, else nil.
func (r *Receiver) TryReceive() (*Parcel, error) {
	parcel, _, err := r.take()
	return parcel, err
}

// Accept takes the next connection (net.Listener): its first reads give the bytes that came with it. A socket that is no
// connection is closed, for whoever accepts could do nothing with it: [Receiver.Receive] takes any.
func (r *Receiver) Accept() (net.Conn, error) {
	for {
		parcel, err := r.Receive(context.Background())
		if err != nil {
			return nil, &net.OpError{Op: "accept", Net: r.Addr().Network(), Addr: r.Addr(), Err: err}
		}
		if conn, ok := parcel.stream(); ok {
			return conn, nil
		}
	}
}

// Addr is the name under which others reach the receiver (net.Listener).
func (r *Receiver) Addr() net.Addr {
	return &net.UnixAddr{Name: r.core.domain.path + "/" + r.name, Net: "unixpacket"}
}

// Close closes the receiver: their senders get back what was not taken.
func (r *Receiver) Close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.core.domain.remove(r.name)
	r.listener.closeListener()
	for _, greeting := range r.greetings {
		greeting.close()
	}
	for q := range r.queues {
		r.remove(q)
	}
	close(r.wake)
	return nil
}

func (r *Receiver) signal() {
	close(r.wake)
	r.wake = make(chan struct{})
}

// take takes one parcel, or returns what is closed when there may be one.
func (r *Receiver) take() (*Parcel, <-chan struct{}, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for !r.closed && len(r.due) > 0 {
		q := r.due[0]
		r.due = r.due[1:]
		parcel, err := q.take()
		switch {
		case errors.Is(err, os.ErrClosed):
			r.remove(q)
		case err != nil:
			r.due = append(r.due, q)
			return nil, nil, err
		case parcel == nil:
			q.rearm <- struct{}{}
		default:
			// Others first.
			r.due = append(r.due, q)
			return parcel, nil, nil
		}
	}
	if r.closed {
		return nil, nil, fail(ErrClosed, "the receiver %s", r.name)
	}
	return nil, r.wake, nil
}

// take takes the first parcel of a queue; nil when there is none, os.ErrClosed when nothing comes any more.
func (q *queue) take() (parcel *Parcel, err error) {
	err = q.use(func(fd int) error {
		// While it is looked at and taken, the sender does not take it back. If the sender has the lock, nothing more comes.
		if sys.LockRecord(fd) != nil {
			return os.ErrClosed
		}
		defer sys.UnlockRecord(fd)
		parcel, err = takeParcel(fd, q.source, make([]byte, smallLoad), sys.Peek)
		return err
	})
	return parcel, err
}

// watch notes whenever something has come into a queue since it was found empty.
func (r *Receiver) watch(q *queue) {
	for q.wait(hasInput) == nil {
		r.mutex.Lock()
		if _, open := r.queues[q]; open {
			r.due = append(r.due, q)
			r.signal()
		}
		r.mutex.Unlock()
		if _, open := <-q.rearm; !open {
			return
		}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.remove(q)
}

func (r *Receiver) remove(q *queue) {
	if _, open := r.queues[q]; !open {
		return
	}
	delete(r.queues, q)
	close(q.rearm)
	q.closeQueue()
	q.greeted.close()
	close(r.room)
	r.room = make(chan struct{})
}

func (r *Receiver) accept() {
	for {
		if !r.waitForRoom() || r.listener.wait(hasInput) != nil {
			return
		}
		fd, err := acceptLink(r.listener)
		switch {
		case err == nil:
			if l, err := newLink(fd); err == nil {
				r.expect(l)
				go r.greet(l)
			}
		case errors.Is(err, os.ErrClosed):
			return
		case err != syscall.EAGAIN:
			// No descriptor is free; it waits in the backlog.
			time.Sleep(pause)
		}
	}
}

// quota counts two descriptors for each queue.
func queueQuota() quota { return quotaOf(descriptorLimit()/2, queuesOfProcess) }

// waitForRoom waits until there may be one more queue; false when the receiver is closed.
func (r *Receiver) waitForRoom() bool {
	for {
		r.mutex.Lock()
		closed, full, room := r.closed, len(r.queues) >= queueQuota().links, r.room
		r.mutex.Unlock()
		if closed || !full {
			return !closed
		}
		// Nothing tells when the limit of descriptors is raised.
		waitContext(context.Background(), room, time.After(askForRoomAfter))
	}
}

// expect has a link say whose it is. The oldest of too many that have not goes.
func (r *Receiver) expect(l *link) {
	_ = l.file.SetReadDeadline(time.Now().Add(greetingWithin))
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.closed {
		l.close()
		return
	}
	r.greetings = append(r.greetings, l)
	if len(r.greetings) > queueQuota().silent() {
		r.greetings[0].close()
		r.greetings = r.greetings[1:]
	}
}

// greet hears who opened a link, and takes the queue that comes with that.
func (r *Receiver) greet(l *link) {
	q := r.hear(l)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.greetings = slices.DeleteFunc(r.greetings, func(other *link) bool { return other == l })
	if q == nil {
		l.close()
		return
	}
	open := func(yield func(opener) bool) {
		for other := range r.queues {
			if !yield(other.opener) {
				return
			}
		}
	}
	if r.closed || !queueQuota().admits(q.opener, open) {
		_ = l.use(func(fd int) error { return sys.Send(fd, wire.Frame{Kind: wire.TooMany}.Bytes()) })
		q.closeQueue()
		l.close()
		return
	}
	r.queues[q] = struct{}{}
	go r.watch(q)
}

// hear waits for a greeting; nil when it did not come, or was not the truth.
func (r *Receiver) hear(l *link) *queue {
	var frame wire.Frame
	var fds []int
	for until := time.Now().Add(greetingWithin); ; time.Sleep(pause) {
		var err error
		waited := l.wait(func(fd int) bool {
			frame, fds, err = readFrame(fd, 1)
			return err != syscall.EAGAIN
		})
		if waited == nil && err == nil {
			break
		}
		if waited != nil || !isPassing(err) || time.Now().After(until) {
			return nil
		}
	}
	if frame.Kind != wire.Hello || len(fds) != 1 || !couldBeQueue(fds[0]) {
		closeAll(fds)
		return nil
	}
	// The runtime waits for what does not block.
	_ = syscall.SetNonblock(fds[0], true)
	end, err := newLink(fds[0])
	if err != nil {
		return nil
	}
	q := &queue{link: end, greeted: l, rearm: make(chan struct{}, 1)}
	for until := time.Now().Add(greetingWithin); ; time.Sleep(pause) {
		err := l.use(func(fd int) error {
			p, err := peerOf(r.core.me, fd)
			if err != nil {
				return err
			}
			defer p.close()
			if !p.is(r.core.me, frame.Process) {
				return os.ErrPermission
			}
			q.opener = opener{frame.Process, p.uid}
			if !p.isHearsay(r.core.me, frame.Process) {
				q.source = &Process{frame.Process}
			}
			return nil
		})
		if err == nil {
			return q
		}
		if !isPassing(err) || time.Now().After(until) {
			q.closeQueue()
			return nil
		}
	}
}

// couldBeQueue keeps out what could be waited for.
func couldBeQueue(fd int) bool {
	family, err := sys.Family(fd)
	kind, err2 := sys.Type(fd)
	listens, err3 := sys.Listens(fd)
	return errors.Join(err, err2, err3) == nil && family == syscall.AF_UNIX && kind == syscall.SOCK_SEQPACKET && !listens
}
