package sharesock

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

const (
	claimsSuffix  = "-claims"
	handOffSuffix = "-hand-off"
	privatePrefix = "new-"
	// Somebody else changes a name of the domain so often only to keep us.
	nameAttempts = 100
	backlog      = 4096
)

// domain is the directory in which processes meet.
type domain struct {
	path   string
	folder int
	device uint64
	inode  uint64
	// The group whose members are admitted, or -1.
	group int
}

func openDomain(path string) (*domain, error) {
	if path == "" {
		path = os.Getenv("SHARESOCK_DOMAIN")
	}
	if path != "" {
		return openDirectory(path)
	}
	base := "/tmp"
	if stat, err := os.Stat("/dev/shm"); err == nil && stat.IsDir() {
		base = "/dev/shm"
	}
	d, err := openDirectory(fmt.Sprintf("%s/sharesock-%d", base, os.Geteuid()))
	if err == nil && d.group >= 0 {
		d.close()
		return nil, fail(ErrUntrustedDomain, "%s: the default domain must be closed to its group: chmod 700 it", d.path)
	}
	return d, err
}

func openDirectory(path string) (*domain, error) {
	if err := syscall.Mkdir(path, 0o700); err != nil && err != syscall.EEXIST {
		return nil, system("creating the domain's directory "+path, err)
	}
	folder, err := syscall.Open(path, syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC|syscall.O_RDONLY, 0)
	switch err {
	case nil:
	case syscall.ENOTDIR, syscall.ELOOP:
		return nil, fail(ErrUntrustedDomain, "%s is not a real directory: %s", path, replaceIt)
	case syscall.EACCES:
		return nil, fail(ErrUntrustedDomain, "this user may not enter %s: %s", path, replaceIt)
	default:
		return nil, system("opening the domain's directory "+path, err)
	}
	d := &domain{path: path, folder: folder, group: -1}
	var stat syscall.Stat_t
	if err := syscall.Fstat(folder, &stat); err != nil {
		d.close()
		return nil, system("looking at the domain's directory", err)
	}
	groups, _ := syscall.Getgroups()
	me := visitor{uint32(os.Geteuid()), os.Getegid() == int(stat.Gid) || slices.Contains(groups, int(stat.Gid))}
	if why := distrust(stat.Uid, stat.Mode, me); why != "" {
		d.close()
		return nil, fail(ErrUntrustedDomain, "%s: %s", path, why)
	}
	if stat.Mode&0o070 == 0o070 {
		d.group = int(stat.Gid)
	}
	d.device, d.inode = uint64(stat.Dev), stat.Ino
	return d, nil
}

const replaceIt = "let its owner or root remove it, or name another domain (SHARESOCK_DOMAIN)"

// visitor is the user that asks.
type visitor struct {
	uid     uint32
	inGroup bool
}

// distrust says what is wrong with a directory of this owner and mode.
func distrust(owner, mode uint32, me visitor) string {
	admitsGroup := mode&0o070 == 0o070
	switch {
	case mode&0o007 != 0:
		return "it is open to everybody: chmod o-rwx it"
	case owner != me.uid && !admitsGroup:
		return fmt.Sprintf("user %d owns it, and it admits no group: %s", owner, replaceIt)
	case owner != me.uid && !me.inGroup:
		return fmt.Sprintf("user %d owns it, and this user is not in its group: %s", owner, replaceIt)
	case mode&0o070 != 0 && !admitsGroup:
		return "its group may enter it, but not use it: chmod 700 it, or chmod 3770 to admit the group"
	case admitsGroup && mode&syscall.S_ISVTX == 0:
		return "its members could remove and replace each other's names: chmod 3770 it"
	case admitsGroup && mode&syscall.S_ISGID == 0 && !me.inGroup && me.uid != 0:
		return "names that this user makes would not get its group: chmod 3770 it, or join the group"
	}
	return ""
}

func (d *domain) close()           { _ = syscall.Close(d.folder) }
func (d *domain) place() [2]uint64 { return [2]uint64{d.device, d.inode} }
func (d *domain) digest() uint32   { return wire.Pair(d.device, d.inode) }

// at is a path to a name in an open directory: it is short, and leads there wherever the directory was moved.
func at(folder int, name string) string { return sys.Descriptors + strconv.Itoa(folder) + "/" + name }

func (d *domain) remove(name string) { _ = syscall.Unlink(at(d.folder, name)) }

type presence int

const (
	unknown presence = iota
	there
	refuses
	noName
)

// presenceAt tells whether a socket is bound to a name, by the kernel's word. A listener sees a link that ends at once.
func presenceAt(path string) presence {
	fd, err := seqpacket()
	if err != nil {
		return unknown
	}
	defer syscall.Close(fd)
	switch connect(fd, path) {
	case nil, syscall.EAGAIN, syscall.EPROTOTYPE:
		return there
	case syscall.ECONNREFUSED:
		return refuses
	case syscall.ENOENT:
		return noName
	default:
		return unknown
	}
}

func seqpacket() (int, error) {
	return syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
}

func connect(fd int, path string) error {
	return sys.Retry(func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}) })
}

// private is a directory in the domain that only this user can enter: what is made there gets its mode and its group before
// anybody else can see it. Its maker holds a lock on it: one that is not locked was left by a process that has ended.
type private struct {
	domain *domain
	name   string
	folder int
}

func newPrivate(d *domain) (*private, error) {
	const doing = "making a private directory in the domain"
	for range nameAttempts {
		var random [8]byte
		_, _ = rand.Read(random[:])
		name := fmt.Sprintf("%s%d-%x", privatePrefix, os.Getpid(), random)
		if err := syscall.Mkdir(at(d.folder, name), 0o700); err == syscall.EEXIST {
			continue
		} else if err != nil {
			return nil, system(doing, err)
		}
		folder, err := openPrivate(d, name)
		if err == syscall.ENOENT {
			continue
		} else if err != nil {
			_ = syscall.Rmdir(at(d.folder, name))
			return nil, system(doing, err)
		}
		p := &private{d, name, folder}
		if p.isKept() {
			return p, nil
		}
		p.close()
	}
	return nil, system(doing, syscall.EBUSY)
}

func openPrivate(d *domain, name string) (int, error) {
	flags := syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC | syscall.O_RDONLY
	return syscall.Open(at(d.folder, name), flags, 0)
}

// isKept locks it; false when a sweep was faster, or when it is not what was made.
func (p *private) isKept() bool {
	if syscall.Flock(p.folder, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false
	}
	var stat syscall.Stat_t
	return syscall.Fstat(p.folder, &stat) == nil && stat.Nlink > 0 && stat.Uid == uint32(os.Geteuid()) && stat.Mode&0o077 == 0
}

// close removes it, and closes it.
func (p *private) close() {
	if syscall.Rmdir(at(p.domain.folder, p.name)) == syscall.ENOTEMPTY {
		entries, _ := os.ReadDir(at(p.folder, "."))
		for _, entry := range entries {
			_ = syscall.Unlink(at(p.folder, entry.Name()))
		}
		_ = syscall.Rmdir(at(p.domain.folder, p.name))
	}
	_ = syscall.Close(p.folder)
}

// move moves a name if nothing is in its place.
func move(from, to string) error {
	err := sys.RenameNoReplace(from, to)
	if err == syscall.EINVAL || err == syscall.ENOSYS {
		// Some file systems do not know the flag.
		if err := syscall.Link(from, to); err != nil {
			return err
		}
		return syscall.Unlink(from)
	}
	return err
}

// bury removes the name of a process that has ended. If a living one has taken it meanwhile, it is put back.
func (p *private) bury(public string) error {
	grave := at(p.folder, "stale")
	if err := syscall.Rename(at(p.domain.folder, public), grave); err != nil {
		return err
	}
	if presenceAt(grave) != refuses {
		_ = move(grave, at(p.domain.folder, public))
	}
	_ = syscall.Unlink(grave)
	return nil
}

// listen makes a socket that listens under a name, which appears complete or not at all. A stale name gives way.
func (d *domain) listen(name string, openAlready *Kind) (int, error) {
	const doing = "opening an endpoint"
	fd, err := seqpacket()
	if err != nil {
		return -1, system(doing, err)
	}
	if strings.HasSuffix(name, claimsSuffix) {
		// Links that are accepted there have it from here.
		sys.RefuseDescriptors(fd)
	}
	p, err := newPrivate(d)
	if err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	defer p.close()
	born, mode := at(p.folder, name), uint32(0o600)
	err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: born})
	if err == nil && d.group >= 0 {
		mode = 0o660
		err = syscall.Lchown(born, -1, d.group)
	}
	if err == nil {
		err = syscall.Chmod(born, mode)
	}
	if err == nil {
		err = syscall.Listen(fd, backlog)
	}
	if err = system(doing, err); err == nil {
		err = d.publish(p, name, openAlready)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (d *domain) publish(p *private, name string, openAlready *Kind) error {
	for range nameAttempts {
		err := move(at(p.folder, name), at(d.folder, name))
		if err == nil {
			return nil
		}
		if err != syscall.EEXIST {
			return system("publishing an endpoint's name", err)
		}
		switch presenceAt(at(d.folder, name)) {
		case noName:
		case refuses:
			if err := p.bury(name); err != nil && err != syscall.ENOENT {
				return d.taken(name, openAlready)
			}
		default:
			return d.taken(name, openAlready)
		}
	}
	return d.taken(name, openAlready)
}

func (d *domain) taken(name string, openAlready *Kind) error {
	var stat syscall.Stat_t
	if syscall.Lstat(at(d.folder, name), &stat) == nil && stat.Uid != uint32(os.Geteuid()) {
		return fail(ErrNameTaken, "%s/%s: user %d has it", d.path, name, stat.Uid)
	}
	return fail(openAlready, "%s/%s", d.path, name)
}

// sweep removes what processes left when they ended: names on which nobody listens, and private directories that nobody holds.
func (d *domain) sweep(me *identity) {
	folder, err := os.Open(at(d.folder, "."))
	if err != nil {
		return
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	var p *private
	for _, name := range names {
		if strings.HasPrefix(name, privatePrefix) {
			d.sweepPrivate(name)
		}
		who, suffix, ok := wire.ParseName(name)
		if !ok || who == me.Who() || !isEndpoint(suffix) {
			continue
		}
		if process, err := find(me, int(who.ID)); err == nil && process.Who() == who {
			continue
		}
		if presenceAt(at(d.folder, name)) != refuses {
			continue
		}
		if p == nil {
			if p, err = newPrivate(d); err != nil {
				return
			}
			defer p.close()
		}
		_ = p.bury(name)
	}
}

func isEndpoint(suffix string) bool {
	return suffix == "" || suffix == claimsSuffix || suffix == handOffSuffix || strings.HasPrefix(suffix, handOffSuffix+"-") ||
		strings.HasPrefix(suffix, "-events-")
}

func (d *domain) sweepPrivate(name string) {
	// Those of other users cannot be opened, and are theirs to sweep.
	folder, err := openPrivate(d, name)
	if err != nil {
		return
	}
	if syscall.Flock(folder, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = syscall.Close(folder)
		return
	}
	(&private{d, name, folder}).close()
}
