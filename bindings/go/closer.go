package sharesock

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
)

// The last close of a connection with SO_LINGER waits for its peer for as long as whoever set that likes, and what a
// stranger sent can be such a connection, or a socket in whose queue one lies. So these are closed by a thread that ends with
// a table of descriptors of its own: an ending thread lingers for nobody. What can still hold such a thread up is a file whose
// file system does not answer; then others go on.

const (
	// So many are closed by one thread that ends.
	closeBatch = 64
	// So many threads close at a time; more than one only if the others are held up.
	mostClosers = 4
)

var burials struct {
	sync.Mutex
	waiting []int
	threads int
}

// closeForeign closes a stranger's descriptor, at once if that cannot wait for anybody.
func closeForeign(fd int) {
	family, err := sys.Family(fd)
	switch {
	case err != nil && sys.IsGate(fd), err == nil && family != syscall.AF_UNIX && !sys.Lingers(fd):
		_ = syscall.Close(fd)
	default:
		closeElsewhere(fd)
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		closeForeign(fd)
	}
}

func closeElsewhere(fd int) {
	burials.Lock()
	defer burials.Unlock()
	burials.waiting = append(burials.waiting, fd)
	heldUp := burials.threads == 0 || len(burials.waiting) > 1
	if heldUp && burials.threads < mostClosers {
		burials.threads++
		go bury()
	}
}

func bury() {
	for {
		burials.Lock()
		count := min(closeBatch, len(burials.waiting))
		if count == 0 {
			burials.threads--
			burials.Unlock()
			return
		}
		batch := slices.Clone(burials.waiting[:count])
		burials.waiting = slices.Delete(burials.waiting, 0, count)
		burials.Unlock()
		buryBatch(batch)
	}
}

// buryBatch closes descriptors such that the last to have them is a thread that ends.
func buryBatch(batch []int) {
	slices.Sort(batch)
	copied, closed, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go onThreadThatEnds(func() {
		_ = sys.KeepOnly(batch)
		close(copied)
		<-closed
		close(ended)
	})
	<-copied
	for _, fd := range batch {
		_ = syscall.Close(fd)
	}
	close(closed)
	<-ended
}

// onThreadThatEnds runs on a thread that ends afterwards.
func onThreadThatEnds(run func()) {
	runtime.LockOSThread()
	if syscall.Gettid() != os.Getpid() {
		// Never unlocked: so the thread ends with the goroutine.
		run()
		return
	}
	// The first thread of a process is kept by the runtime: while this goroutine has it, another one gets another thread.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		run()
	}()
	<-done
	runtime.UnlockOSThread()
}
