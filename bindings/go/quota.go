package sharesock

import (
	"os"
	"syscall"

	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

const (
	mostLinks  = 4096
	mostSilent = 256
)

// opener is whose a link is, and that process's user.
type opener struct {
	process wire.Process
	uid     uint32
}

// quota is how many links may be open: of all others together, of one process, and of one other user.
type quota struct{ links, ofProcess, ofUser int }

// descriptorLimit is how many descriptors this process may have open.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<30))
}

func quotaOf(limit, ofProcess int) quota {
	links := min(max(limit/2, 1), mostLinks)
	return quota{links, ofProcess, (links + 3) / 4}
}

// silent is how many may be open that have not said whose they are: they leave room for those that do.
func (q quota) silent() int { return max(min(mostSilent, q.links/4), 1) }

// admits tells whether a process of this user may have one more, when these are open.
func (q quota) admits(new opener, open func(yield func(opener) bool)) bool {
	ofProcess, ofUser := 0, 0
	for other := range open {
		if other.process == new.process {
			ofProcess++
		}
		if other.uid == new.uid {
			ofUser++
		}
	}
	return ofProcess < q.ofProcess && (new.uid == uint32(os.Geteuid()) || ofUser < q.ofUser)
}
