//go:build linux && (amd64 || arm64 || riscv64 || loong64)

// Package sys asks the kernel what package syscall does not. It is the only part of the module that uses unsafe.
package sys

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	soAcceptConn = 30
	soDomain     = 39
	soCookie     = 57
	soPeerPidfd  = 77
	soPassRights = 83

	sysPidfdOpen  = 434
	sysCloseRange = 436

	clockBoottime    = 7
	rwfNowait        = 8
	renameNoReplace  = 1
	closeRangeCopies = 2
	eventfdSemaphore = 1
	fionread         = 0x541b
)

// Descriptors is the folder of this process's descriptors, as the calling thread sees it.
const Descriptors = "/proc/thread-self/fd/"

// sysPreadv2 and sysRenameat2 are numbered alike on all architectures but the oldest.
var sysPreadv2, sysRenameat2 = numbers()

func numbers() (preadv2, renameat2 uintptr) {
	if runtime.GOARCH == "amd64" {
		return 327, 316
	}
	return 286, 276
}

// Retry calls again while a signal interrupts.
func Retry(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

func errnoOf(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func getsockopt(fd, name int, value unsafe.Pointer, size uint32) error {
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, uintptr(name),
		uintptr(value), uintptr(unsafe.Pointer(&size)), 0)
	return errnoOf(errno)
}

// Cookie is the identity of the underlying socket (SO_COOKIE).
func Cookie(fd int) (uint64, error) {
	var cookie uint64
	// The kernel writes at most the eight bytes of cookie.
	err := getsockopt(fd, soCookie, unsafe.Pointer(&cookie), 8)
	return cookie, err
}

// Family is the address family of a socket.
func Family(fd int) (int, error) { return syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, soDomain) }

// Type is the type of a socket.
func Type(fd int) (int, error) { return syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE) }

// Listens tells whether a socket accepts connections.
func Listens(fd int) (bool, error) {
	value, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, soAcceptConn)
	return value != 0, err
}

// Lingers tells whether the last close of a socket may wait for its peer.
func Lingers(fd int) bool {
	var linger syscall.Linger
	// The kernel writes at most the size of linger.
	err := getsockopt(fd, syscall.SO_LINGER, unsafe.Pointer(&linger), uint32(unsafe.Sizeof(linger)))
	return err == nil && linger.Onoff != 0 && linger.Linger != 0
}

// PeerPidfd is a descriptor of the process at the other end, or that listens.
func PeerPidfd(fd int) (int, error) {
	return syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, soPeerPidfd)
}

// RefuseDescriptors has the kernel refuse messages with descriptors to this socket, where it can.
func RefuseDescriptors(fd int) {
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soPassRights, 0)
}

// PidfdOpen opens a descriptor of a process.
func PidfdOpen(pid uint32) (int, error) {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
	return int(fd), errnoOf(errno)
}

type pollFd struct {
	fd      int32
	events  int16
	revents int16
}

// What Ready asks for. A hang-up is told in any case.
const (
	In  = 1
	Out = 4
	Hup = 0
)

// Ready tells without waiting whether an event, or a hang-up, has occurred at a descriptor.
func Ready(fd int, events int16) bool {
	poll := pollFd{fd: int32(fd), events: events}
	var now syscall.Timespec
	for {
		// The kernel reads and writes one entry, and reads the time.
		count, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1,
			uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if errno != syscall.EINTR {
			return errno == 0 && count == 1
		}
	}
}

// NewGate makes an eventfd with count in it, each of which is taken once.
func NewGate(count uint) (int, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, uintptr(count),
		syscall.O_CLOEXEC|syscall.O_NONBLOCK|eventfdSemaphore, 0)
	return int(fd), errnoOf(errno)
}

// TakeGate takes one; false when none is left. It never waits, whatever a peer gave as a gate.
func TakeGate(fd int) (bool, error) {
	var count [8]byte
	vector := syscall.Iovec{Base: &count[0], Len: 8}
	for {
		// The kernel writes at most the eight bytes of count. Offset -1 reads without a position.
		n, _, errno := syscall.Syscall6(sysPreadv2, uintptr(fd), uintptr(unsafe.Pointer(&vector)), 1,
			^uintptr(0), ^uintptr(0), rwfNowait)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			return false, nil
		case errno != 0:
			return false, errno
		case n != 8:
			return false, syscall.EPROTO
		default:
			return true, nil
		}
	}
}

// IsGate tells whether a descriptor could be a gate: closing it waits for nobody.
func IsGate(fd int) bool {
	link, err := os.Readlink(Descriptors + strconv.Itoa(fd))
	return err == nil && link == "anon_inode:[eventfd]"
}

// RenameNoReplace moves a name if nothing is in its place.
func RenameNoReplace(from, to string) error {
	old, err := syscall.BytePtrFromString(from)
	if err != nil {
		return err
	}
	new, err := syscall.BytePtrFromString(to)
	if err != nil {
		return err
	}
	// Both end with a zero byte, and outlive the call.
	here := -100 // AT_FDCWD
	_, _, errno := syscall.Syscall6(sysRenameat2, uintptr(here), uintptr(unsafe.Pointer(old)), uintptr(here),
		uintptr(unsafe.Pointer(new)), renameNoReplace, 0)
	return errnoOf(errno)
}

// QueuedBytes tells how many bytes can be received.
func QueuedBytes(fd int) (uint64, error) {
	var count int32
	// The kernel writes the four bytes of count.
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), fionread, uintptr(unsafe.Pointer(&count)))
	return uint64(max(count, 0)), errnoOf(errno)
}

// SinceBoot is the time since boot, time asleep included.
func SinceBoot() (time.Duration, error) {
	var now syscall.Timespec
	// The kernel writes the whole of now.
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0)
	return time.Duration(now.Nano()), errnoOf(errno)
}

// LockRecord takes the lock on a socket that belongs to a process; EAGAIN when another process has it.
func LockRecord(fd int) error {
	err := setLock(fd, syscall.F_WRLCK)
	if err == syscall.EACCES {
		return syscall.EAGAIN
	}
	return err
}

// UnlockRecord lets go of it.
func UnlockRecord(fd int) { _ = setLock(fd, syscall.F_UNLCK) }

func setLock(fd int, kind int16) error {
	return Retry(func() error { return syscall.FcntlFlock(uintptr(fd), syscall.F_SETLK, &syscall.Flock_t{Type: kind}) })
}

// KeepOnly gives the calling thread a table of descriptors of its own, in which only these numbers, in ascending order, are
// open. The goroutine must have locked its thread, and must end without unlocking it: the kernel then closes what was kept,
// which, unlike close, waits for nobody.
func KeepOnly(numbers []int) error {
	above := uintptr(0)
	if len(numbers) > 0 {
		above = uintptr(numbers[len(numbers)-1]) + 1
	}
	if _, _, errno := syscall.RawSyscall(sysCloseRange, above, uintptr(^uint32(0)), closeRangeCopies); errno != 0 {
		return errno
	}
	from := uintptr(0)
	for _, number := range numbers {
		if from < uintptr(number) {
			if _, _, errno := syscall.RawSyscall(sysCloseRange, from, uintptr(number)-1, 0); errno != 0 {
				return errno
			}
		}
		from = uintptr(number) + 1
	}
	return nil
}

// QueuedDescriptors tells whether descriptors may be in the queue of a socket of the Unix family.
func QueuedDescriptors(fd int) bool {
	info, err := os.ReadFile("/proc/thread-self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(info)) {
		if count, found := strings.CutPrefix(line, "scm_fds:"); found {
			return strings.TrimSpace(count) != "0"
		}
	}
	return true
}
