package sharesock

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

// peer is who is at the other end of a link, or listens there: what the kernel noted when the link was made.
type peer struct {
	uid uint32
	// The id that it has here; 0 is none.
	pid uint32
	// A descriptor of the process, or -1 where the kernel keeps none.
	pidfd int
	seen  seen
}

func peerOf(me *identity, fd int) (*peer, error) {
	const doing = "asking who is at the other end of a link"
	credentials, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return nil, system(doing, err)
	}
	p := &peer{uid: credentials.Uid, pid: uint32(max(credentials.Pid, 0)), pidfd: -1}
	pidfd, err := sys.PeerPidfd(fd)
	switch {
	case err == nil:
		p.pidfd = pidfd
	case isPassing(err):
		return nil, system(doing, err)
	case errors.Is(err, syscall.ENOPROTOOPT):
		// Before Linux 6.5: whoever has the id now, if it is that user's.
		if pidfd, err := sys.PidfdOpen(p.pid); err == nil {
			p.pidfd = pidfd
			var stat syscall.Stat_t
			if syscall.Stat(fmt.Sprintf("/proc/%d", p.pid), &stat) != nil || stat.Uid != p.uid {
				p.close()
			}
		}
	}
	switch {
	case p.pid == 0:
		p.seen.as = seenOutside
	case p.pidfd >= 0:
		if p.seen, err = look(me, p.pidfd); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *peer) close() {
	if p.pidfd >= 0 {
		_ = syscall.Close(p.pidfd)
		p.pidfd = -1
	}
}

// hasEnded tells whether it has ended, as far as the kernel tells.
func (p *peer) hasEnded() bool {
	return p.seen.as == seenEnded || p.pidfd >= 0 && hasEnded(p.pidfd)
}

// is tells whether what this process says of itself agrees with all that the kernel knows.
//
// Of one without an id here, and of one that has ended, that is not all there is to know: then its word is added.
func (p *peer) is(me *identity, claim wire.Process) bool {
	foreign := claim.Namespace != me.Namespace
	switch p.seen.as {
	case seenWhole:
		return p.seen.process == claim
	case seenPart:
		return foreign && claim.ID == p.seen.process.ID && claim.Start == p.seen.process.Start
	case seenHidden:
		return foreign == p.seen.below && claim.ID == p.seen.process.ID
	case seenOutside:
		return foreign
	case seenEnded:
		if foreign {
			return true
		}
		// One that lives is not the one that has ended.
		living, err := find(me, int(claim.ID))
		return claim.ID == p.pid && (err != nil || living != claim)
	default:
		return false
	}
}

// mayBe tells the same of a process of which only the id and the tag are known.
func (p *peer) mayBe(who wire.Who) bool {
	switch p.seen.as {
	case seenWhole:
		return p.seen.process.Who() == who
	case seenPart, seenHidden:
		return p.seen.process.ID == who.ID
	default:
		return p.seen.as == seenOutside
	}
}

// isHearsay tells whether who it is rests on nothing but its word: it has ended, and says that it was of another namespace.
func (p *peer) isHearsay(me *identity, claim wire.Process) bool {
	return p.seen.as == seenEnded && claim.Namespace != me.Namespace
}
