package sharesock

import (
	"syscall"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

// key identifies a duplicate at its target: who sent it, by the kernel's word, and its token.
type key struct {
	source wire.Who
	token  wire.Token
}

// fate is what became of a duplicate: the error that a further redemption gets. ErrUnknownDelivery (its source does not hold
// it, or no longer) and ErrSourceGone may change: the source may have delivered it meanwhile.
type fate = *Kind

func mayChange(f fate) bool { return f == ErrUnknownDelivery || f == ErrSourceGone }

const (
	// The most duplicates that wait here for their infos, whatever the limit of descriptors; so many may in any case.
	mostReady   = 16_384
	fewestReady = 16
	mostFates   = 16_384
)

// waiting is a duplicate that waits for its info.
type waiting struct {
	fd      int
	expires uint64
	// Its gate, or -1.
	gate int
}

func (w waiting) close() {
	closeForeign(w.fd)
	if w.gate >= 0 {
		closeForeign(w.gate)
	}
}

func (w waiting) expiredAt(now uint64) bool { return w.expires != 0 && w.expires <= now }

type sourceCount struct {
	count int
	// Later ones have a higher number.
	number uint64
}

// arrived has the duplicates that were taken from the kernel, and what became of them.
type arrived struct {
	me      *identity
	ready   map[key]waiting
	sources map[wire.Who]sourceCount
	last    uint64
	fates   map[key]fate
	// In the order in which they were noted.
	order []key
}

func newArrived(me *identity) arrived {
	return arrived{me: me, ready: map[key]waiting{}, sources: map[wire.Who]sourceCount{}, fates: map[key]fate{}}
}

// makeRoom makes room for one more duplicate of source, by closing those that nobody can redeem any more; then those of
// sources of which nothing has more, the oldest first.
//
// One source may leave so many unredeemed that a quarter of the descriptors is left, all together an eighth.
func (a *arrived) makeRoom(source wire.Who, hasMore func(wire.Who) bool) error {
	if len(a.ready) < fewestReady {
		return nil
	}
	limit := descriptorLimit()
	leaving := func(some int) int { return min(max(limit-some, fewestReady), mostReady) }
	all, one := leaving(max(limit/8, 64)), leaving(max(limit/4, 96))
	isFull := func() bool { return len(a.ready) >= all || a.sources[source].count >= one }
	if !isFull() {
		return nil
	}
	now := a.me.now()
	for k, w := range a.ready {
		if w.expiredAt(now) {
			a.take(k)
			w.close()
			a.note(k, ErrExpired)
		}
	}
	for len(a.ready) >= all {
		var oldest *wire.Who
		for other, count := range a.sources {
			if other != source && !hasMore(other) && (oldest == nil || count.number < a.sources[*oldest].number) {
				oldest = &other
			}
		}
		if oldest == nil {
			break
		}
		for k, w := range a.ready {
			if k.source == *oldest {
				delete(a.ready, k)
				w.close()
			}
		}
		delete(a.sources, *oldest)
	}
	if isFull() {
		return fail(ErrTooManyUnredeemed, "%d", one)
	}
	return nil
}

func (a *arrived) take(k key) (waiting, bool) {
	w, found := a.ready[k]
	if !found {
		return w, false
	}
	delete(a.ready, k)
	count := a.sources[k.source]
	if count.count--; count.count > 0 {
		a.sources[k.source] = count
	} else {
		delete(a.sources, k.source)
	}
	return w, true
}

// keep keeps one until it is asked for; false when there is one under this key already, which stays.
func (a *arrived) keep(k key, w waiting) bool {
	if _, found := a.ready[k]; found {
		w.close()
		return false
	}
	a.ready[k] = w
	a.last++
	count := a.sources[k.source]
	if count.count == 0 {
		count.number = a.last
	}
	count.count++
	a.sources[k.source] = count
	return true
}

// open hands out what waited, if it may be had.
func (a *arrived) open(k key, w waiting) (int, error) {
	became := ErrAlreadyRedeemed
	if w.expiredAt(a.me.now()) {
		became = ErrExpired
	} else if w.gate >= 0 {
		if taken, _ := sys.TakeGate(w.gate); !taken {
			became = ErrRevoked
		}
	}
	a.note(k, became)
	if became != ErrAlreadyRedeemed {
		w.close()
		return -1, became.error(k)
	}
	if w.gate >= 0 {
		closeForeign(w.gate)
	}
	return w.fd, nil
}

func (k *Kind) error(of key) error { return fail(k, "source process %d", of.source.ID) }

// note remembers what became of a duplicate.
func (a *arrived) note(k key, f fate) {
	_, known := a.fates[k]
	if known && mayChange(f) {
		return
	}
	if !known {
		if len(a.order) >= 2*mostFates {
			a.order = append([]key(nil), a.order[len(a.order)-mostFates:]...)
			recent := make(map[key]fate, mostFates)
			for _, k := range a.order {
				if f, found := a.fates[k]; found {
					recent[k] = f
				}
			}
			a.fates = recent
		}
		a.order = append(a.order, k)
	}
	a.fates[k] = f
}

// consult returns what became of a duplicate. What may change is forgotten.
func (a *arrived) consult(k key) fate {
	f := a.fates[k]
	if f != nil && mayChange(f) {
		delete(a.fates, k)
	}
	return f
}

func (a *arrived) close() {
	for _, w := range a.ready {
		w.close()
	}
	*a = newArrived(a.me)
}

// checkSocket tells whether a descriptor is the socket that a delivery promises.
func checkSocket(fd int, frame *wire.Frame) error {
	cookie, err := sys.Cookie(fd)
	if err != nil || cookie != frame.Cookie || frame.Token.Cookie() != cookie {
		return syscall.EPROTO
	}
	return nil
}
