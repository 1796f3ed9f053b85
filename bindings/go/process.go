package sharesock

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

// Process is a process by an identity that survives the reuse of its id, and that holds across PID namespaces. Processes
// are comparable.
type Process struct{ wire wire.Process }

// PID is its id, as it sees itself.
func (p Process) PID() int { return int(p.wire.ID) }

// String is the text form, such as 4711:913374:4026531836, for [ParseProcess] in another process.
func (p Process) String() string { return p.wire.String() }

// ParseProcess reads what [Process.String] returned.
func ParseProcess(text string) (Process, error) {
	process, ok := wire.ParseProcess(text)
	if !ok {
		return Process{}, fail(ErrNotAProcess, "%.60q", text)
	}
	return Process{process}, nil
}

// FindProcess looks up the process that has this id in this PID namespace.
func FindProcess(pid int) (Process, error) {
	me, err := self()
	if err != nil {
		return Process{}, err
	}
	process, err := find(me, pid)
	return Process{process}, err
}

// Target is who may redeem a duplicate or take what is handed off: a [PID], or a [Process] that it told itself.
type Target interface {
	find(me *identity) (wire.Process, error)
}

// PID is the id of a process in this PID namespace. It is looked up when it is used.
type PID int

func (p PID) find(me *identity) (wire.Process, error)     { return find(me, int(p)) }
func (p Process) find(me *identity) (wire.Process, error) { return p.wire, nil }

// identity is what this process is, and how it sees others.
type identity struct {
	wire.Process
	// In so many PID namespaces, from that of /proc down, it has an id.
	levels int
	// The clock since boot is shifted for this process by so many nanoseconds.
	shift int64
}

const (
	// The inode of the first time namespace, in which nothing is shifted.
	firstTimeNamespace = 0xEFFFFFFA
	// Nanoseconds of a clock tick, in which /proc counts.
	tick         = 10_000_000
	kernelThread = 0x200000
	noProc       = "reading /proc (is the /proc of this PID namespace mounted?)"
)

// A process keeps its identity for as long as it lives.
var self = sync.OnceValues(func() (*identity, error) {
	me := &identity{}
	var err error
	if me.shift, err = clockShift(); err != nil {
		return nil, err
	}
	stat, err := readStat("/proc/self/stat")
	if err != nil {
		return nil, system(noProc, err)
	}
	namespace, err := inode("/proc/thread-self/ns/pid")
	if err != nil {
		return nil, system(noProc, err)
	}
	ids, err := readIDs("/proc/thread-self/status")
	if err != nil {
		return nil, system(noProc, err)
	}
	me.levels = ids.levels
	me.Process = wire.Process{ID: uint32(os.Getpid()), Start: me.unshifted(stat.start), Namespace: namespace}
	return me, nil
})

func (me *identity) unshifted(start uint64) uint64 { return uint64(int64(start) - me.shift/tick) }

// now is the time since boot in nanoseconds, as all processes count it.
func (me *identity) now() uint64 {
	now, err := sys.SinceBoot()
	if err != nil {
		return 0
	}
	return uint64(max(int64(now)-me.shift, 0))
}

func clockShift() (int64, error) {
	const doing = "counting time in a time namespace that is not this process's own, or not shifted by whole ticks"
	own, err := inode("/proc/thread-self/ns/time")
	if errors.Is(err, os.ErrNotExist) || own == firstTimeNamespace {
		return 0, nil
	}
	children, err2 := inode("/proc/thread-self/ns/time_for_children")
	offsets, err3 := os.ReadFile("/proc/self/timens_offsets")
	if err := errors.Join(err, err2, err3); err != nil || own != children {
		return 0, system(doing, errors.Join(syscall.EINVAL, err))
	}
	for line := range strings.Lines(string(offsets)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "boottime" {
			continue
		}
		seconds, err := strconv.ParseInt(fields[1], 10, 64)
		nanoseconds, err2 := strconv.ParseInt(fields[2], 10, 64)
		if err == nil && err2 == nil && nanoseconds%tick == 0 {
			return seconds*1_000_000_000 + nanoseconds, nil
		}
	}
	return 0, system(doing, syscall.EINVAL)
}

func inode(path string) (uint64, error) {
	var stat syscall.Stat_t
	err := sys.Retry(func() error { return syscall.Stat(path, &stat) })
	return stat.Ino, err
}

// stat is what is of interest in /proc/PID/stat.
type stat struct{ flags, start uint64 }

func readStat(path string) (stat, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

func parseStat(text string) (stat, error) {
	// The command, in parentheses, may hold anything, parentheses among it.
	at := strings.LastIndex(text, ") ")
	if at < 0 {
		return stat{}, syscall.EIO
	}
	// The first field after the command is the third.
	fields := strings.Fields(text[at+2:])
	if len(fields) < 20 {
		return stat{}, syscall.EIO
	}
	flags, err := strconv.ParseUint(fields[9-3], 10, 64)
	start, err2 := strconv.ParseUint(fields[22-3], 10, 64)
	return stat{flags, start}, errors.Join(err, err2)
}

// ids of a process: in the PID namespace of /proc, and as it sees itself.
type ids struct {
	outer, inner uint32
	levels       int
}

// readIDs reads /proc/PID/status, or what the kernel tells of a descriptor of a process. An outer id of 0 is none here.
func readIDs(path string) (ids, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return ids{}, err
	}
	return parseIDs(string(text)), nil
}

func parseIDs(text string) ids {
	found := ids{levels: 1}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 || (name != "Pid" && name != "NSpid") {
			continue
		}
		// -1 is a process that is gone.
		id, err := strconv.ParseUint(fields[len(fields)-1], 10, 32)
		if err != nil {
			return ids{levels: 1}
		}
		if name == "Pid" {
			found.outer = uint32(id)
		} else {
			found.levels = len(fields)
		}
		found.inner = uint32(id)
	}
	return found
}

type seenAs int

const (
	seenEnded seenAs = iota
	seenWhole
	seenPart
	seenHidden
	seenOutside
	seenKernel
)

// seen is what can be seen of a process.
type seen struct {
	as seenAs
	// Of a part the namespace is missing, of one that is hidden the start as well.
	process wire.Process
	below   bool
}

// hasEnded tells whether all threads of the process have ended whose descriptor this is.
func hasEnded(pidfd int) bool { return sys.Ready(pidfd, sys.In) }

// look asks /proc about the process whose descriptor this is.
func look(me *identity, pidfd int) (seen, error) {
	found, err := lookOnce(me, pidfd)
	// What was read belongs to this process if it has not ended since.
	if err == nil && hasEnded(pidfd) {
		return seen{}, nil
	}
	return found, err
}

func lookOnce(me *identity, pidfd int) (seen, error) {
	ids, err := readIDs("/proc/thread-self/fdinfo/" + strconv.Itoa(pidfd))
	if err != nil {
		return seen{}, system(noProc, err)
	}
	if ids.outer == 0 {
		return seen{as: seenOutside}, nil
	}
	folder := "/proc/" + strconv.FormatUint(uint64(ids.outer), 10)
	found := seen{as: seenHidden, process: wire.Process{ID: ids.inner}, below: ids.levels > me.levels}
	stat, err := readStat(folder + "/stat")
	if isPassing(err) {
		return seen{}, system("looking at a process in /proc", err)
	}
	if err != nil {
		return found, nil
	}
	if stat.flags&kernelThread != 0 {
		return seen{as: seenKernel}, nil
	}
	found.as, found.process.Start = seenWhole, me.unshifted(stat.start)
	if !found.below {
		found.process.Namespace = me.Namespace
		return found, nil
	}
	if found.process.Namespace, err = inode(folder + "/ns/pid"); err != nil {
		found.as, found.process.Namespace = seenPart, 0
	}
	return found, nil
}

func find(me *identity, pid int) (wire.Process, error) {
	const hidden = "looking at a process that /proc hides (hidepid, ProtectProc); have it tell its Process"
	if pid <= 0 || pid > 1<<31-1 {
		return wire.Process{}, fail(ErrNoSuchProcess, "process %d", pid)
	}
	pidfd, err := sys.PidfdOpen(uint32(pid))
	switch {
	case err == syscall.ESRCH || err == syscall.EINVAL:
		return wire.Process{}, fail(ErrNoSuchProcess, "process %d", pid)
	case err != nil:
		return wire.Process{}, system("looking for a process", err)
	}
	defer syscall.Close(pidfd)
	found, err := look(me, pidfd)
	if err != nil {
		return wire.Process{}, err
	}
	switch found.as {
	case seenWhole:
		return found.process, nil
	case seenPart:
		return wire.Process{}, system("naming a process of another user's PID namespace; have it tell its Process", syscall.EACCES)
	case seenHidden:
		return wire.Process{}, system(hidden, syscall.EACCES)
	case seenOutside:
		return wire.Process{}, system(noProc, syscall.ENOENT)
	case seenKernel:
		return wire.Process{}, system("naming a thread of the kernel, which receives nothing", syscall.EINVAL)
	default:
		return wire.Process{}, fail(ErrNoSuchProcess, "process %d", pid)
	}
}
