package sharesock

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
)

// birthVariable names the sockets that a process inherited and listened on before its program ran.
const birthVariable = "SHARESOCK_ENDPOINT"

// birth is what the variable says.
type birth struct {
	fds             [2]int
	cookies         [2]uint64
	digest          uint32
	directory, name string
}

func parseBirth(text string) (b birth, ok bool) {
	parts := strings.Split(text, ":")
	if len(parts) != 7 {
		return b, false
	}
	ok = true
	number := func(text string, bits int) uint64 {
		n, err := strconv.ParseUint(text, 10, bits)
		ok = ok && err == nil
		return n
	}
	for at := range b.fds {
		b.fds[at], b.cookies[at] = int(number(parts[2*at], 31)), number(parts[2*at+1], 64)
	}
	b.digest = uint32(number(parts[4], 32))
	b.directory, b.name = parts[5], parts[6]
	plain := strings.HasPrefix(b.directory, privatePrefix) && !strings.Contains(b.directory+b.name, "/")
	return b, ok && plain
}

// inherit takes over the listeners that were made for this process at its birth in this domain; -1 when there are none.
func (c *core) inherit() (int, error) {
	b, ok := parseBirth(os.Getenv(birthVariable))
	if !ok || b.digest != c.domain.digest() {
		return -1, nil
	}
	mail, handOff := adopt(b.fds[0], b.cookies[0]), adopt(b.fds[1], b.cookies[1])
	if mail < 0 || !c.named(b, "") {
		// A child of the process that it was made for has the descriptors, too.
		for _, fd := range []int{mail, handOff} {
			if fd >= 0 {
				closeElsewhere(fd)
			}
		}
		return -1, nil
	}
	if handOff >= 0 && c.named(b, handOffSuffix) {
		c.newborn = handOff
	}
	return mail, nil
}

// named gives a listener its name, unless the parent was faster; whether this process listens under it.
func (c *core) named(b birth, suffix string) bool {
	public := at(c.domain.folder, c.me.Who().Name(suffix))
	if folder, err := openPrivate(c.domain, b.directory); err == nil {
		_ = move(at(folder, b.name+suffix), public)
		_ = syscall.Close(folder)
	}
	fd, err := seqpacket()
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	if connect(fd, public) != nil {
		return false
	}
	return listener(fd) == c.me.ID
}

// listener is the id of the process that listens, or that is at the other end.
func listener(fd int) uint32 {
	credentials, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return 0
	}
	return uint32(max(credentials.Pid, 0))
}

// adopt takes the socket that this process inherited under a number, if it is the one with this cookie, if this process
// listens on it, and if nobody took it before; else -1.
func adopt(fd int, cookie uint64) int {
	if fd < 3 {
		return -1
	}
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	found, err := sys.Cookie(fd)
	listens, err2 := sys.Listens(fd)
	if errno != 0 || flags&syscall.FD_CLOEXEC != 0 || err != nil || err2 != nil || found != cookie || !listens {
		return -1
	}
	if listener(fd) != uint32(os.Getpid()) {
		return -1
	}
	syscall.CloseOnExec(fd)
	if syscall.SetNonblock(fd, true) != nil {
		return -1
	}
	return fd
}

// takeNewborn is the socket that listens for this receiver since the birth of the process, or -1.
func (c *core) takeNewborn(name string) int {
	opened.Lock()
	defer opened.Unlock()
	fd := c.newborn
	if fd < 0 || name != c.me.Who().Name(handOffSuffix) {
		return -1
	}
	c.newborn = -1
	if presenceAt(at(c.domain.folder, name)) != there {
		closeElsewhere(fd)
		return -1
	}
	return fd
}
