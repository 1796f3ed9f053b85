package sharesock

import (
	"errors"
	"maps"
	"os"
	"syscall"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

// accept accepts those who want to claim.
func (h *held) accept(listener *link) {
	for {
		if listener.wait(hasInput) != nil {
			return
		}
		fd, err := acceptLink(listener)
		switch {
		case err == nil:
			if l, err := newLink(fd); err == nil {
				h.Lock()
				h.silent = append(h.silent, l)
				if len(h.silent) > quotaOf(descriptorLimit(), claimsOfProcess).silent() {
					h.silent[0].close()
					h.silent = h.silent[1:]
				}
				h.Unlock()
				go h.serve(l)
			}
		case errors.Is(err, os.ErrClosed):
			return
		case err != syscall.EAGAIN:
			// No descriptor is free; they wait in the backlog.
			time.Sleep(pause)
		}
	}
}

// serve answers the claims of one link, whose owner says first who it is.
func (h *held) serve(l *link) {
	defer func() {
		h.Lock()
		delete(h.claimants, l)
		h.unsilence(l)
		h.ring()
		h.Unlock()
		l.close()
	}()
	_ = l.file.SetReadDeadline(time.Now().Add(greetingWithin))
	frame, err := readFrameWhole(l)
	if err != nil || frame.Kind != wire.Hello {
		return
	}
	process, known := frame.Process, false
	for until := time.Now().Add(greetingWithin); ; {
		known, err = h.admit(l, process)
		if !isPassing(err) || time.Now().After(until) {
			break
		}
		time.Sleep(pause)
	}
	if err != nil || !known {
		return
	}
	_ = l.file.SetReadDeadline(time.Time{})
	for {
		frame, err := readFrameWhole(l)
		if err != nil || frame.Kind != wire.Claim {
			return
		}
		for {
			err := h.answer(l, frame.Token)
			if err == nil {
				break
			}
			if !isPassing(err) && err != syscall.EAGAIN && err != syscall.ETOOMANYREFS || l.use(hungUp) != nil {
				return
			}
			time.Sleep(pause)
		}
	}
}

func (h *held) unsilence(l *link) {
	for at, silent := range h.silent {
		if silent == l {
			h.silent = append(h.silent[:at:at], h.silent[at+1:]...)
			return
		}
	}
}

// admit asks the kernel who a claimant is, and whether it may have one more link.
func (h *held) admit(l *link, process wire.Process) (known bool, err error) {
	var uid uint32
	err = l.use(func(fd int) error {
		p, err := peerOf(h.core.me, fd)
		if err != nil {
			return err
		}
		defer p.close()
		// Who has ended claims nothing: whoever has its link still is another process.
		known, uid = !p.hasEnded() && p.is(h.core.me, process), p.uid
		return nil
	})
	if err != nil || !known {
		return false, err
	}
	h.Lock()
	defer h.Unlock()
	h.unsilence(l)
	q := quotaOf(descriptorLimit(), claimsOfProcess)
	if len(h.claimants) >= q.links || !q.admits(opener{process, uid}, maps.Values(h.claimants)) {
		return false, nil
	}
	h.claimants[l] = opener{process, uid}
	return true, nil
}

func (h *held) answer(l *link, token wire.Token) error {
	h.Lock()
	defer h.Unlock()
	claimant := h.claimants[l]
	entry, found := h.entries[token]
	if found && entry.is(claimant) {
		err := l.use(func(fd int) error { return sys.Send(fd, entry.frame.Bytes(), entry.fds...) })
		if err == nil {
			h.remove(token)
			h.ring()
		}
		return err
	}
	refusal := wire.Frame{Kind: wire.Refuse, Token: token, Reason: wire.NotHeld}
	if ended, found := h.ended[token]; found && ended.is(claimant) {
		refusal.Reason = ended.reason
	}
	return l.use(func(fd int) error { return sys.Send(fd, refusal.Bytes()) })
}

// readFrameWhole waits for a frame without descriptors.
func readFrameWhole(l *link) (frame wire.Frame, err error) {
	waited := l.raw.Read(func(fd uintptr) bool {
		frame, _, err = readFrame(int(fd), 0)
		return err != syscall.EAGAIN
	})
	return frame, errors.Join(waited, err)
}
