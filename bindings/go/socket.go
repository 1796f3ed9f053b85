package sharesock

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

// Option is how a duplicate is made, or which receiver is meant.
type Option func(*settings)

type settings struct {
	expires    time.Duration
	revocation *Revocation
	name       string
	uid        int64
}

func apply(options []Option) settings {
	s := settings{uid: -1}
	for _, option := range options {
		option(&s)
	}
	return s
}

// Expires has a duplicate expire after this time: who redeems it later gets [ErrExpired]. Without it, it never does.
func Expires(after time.Duration) Option { return func(s *settings) { s.expires = after } }

// Revocable has a duplicate revoked by [Revocation.Revoke]. A Revocation is for one duplicate.
func Revocable(revocation *Revocation) Option { return func(s *settings) { s.revocation = revocation } }

// OfUser has processes of this user alone redeem an offer.
func OfUser(uid int) Option { return func(s *settings) { s.uid = int64(uid) } }

// Named means the receiver of this name: up to 32 letters, digits, '.', '_' and '-'. A process may have several, so that
// parts of it which do not know each other can receive. Without it the unnamed receiver is meant.
func Named(name string) Option { return func(s *settings) { s.name = name } }

// suffix is what the name of a receiver ends with.
func (s settings) suffix() (string, error) {
	if s.name == "" {
		return handOffSuffix, nil
	}
	for _, letter := range s.name {
		switch {
		case letter >= 'a' && letter <= 'z', letter >= 'A' && letter <= 'Z', letter >= '0' && letter <= '9':
		case letter == '.' || letter == '_' || letter == '-':
		default:
			return "", fail(ErrBadName, "%.64q", s.name)
		}
	}
	if len(s.name) > 32 {
		return "", fail(ErrBadName, "%.64q", s.name)
	}
	return handOffSuffix + "-" + s.name, nil
}

// Revocation revokes a duplicate that was made with [Revocable].
type Revocation struct {
	mutex sync.Mutex
	gate  *os.File
	held  *held
	token wire.Token
}

func (r *Revocation) set(gate int, held *held, token wire.Token) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.gate != nil {
		_ = r.gate.Close()
	}
	r.gate, r.held, r.token = os.NewFile(uintptr(gate), "gate"), held, token
}

// Revoke has nobody redeem the duplicate any more. It returns ErrAlreadyRedeemed if it was redeemed before, or revoked.
func (r *Revocation) Revoke() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.gate == nil {
		return fail(ErrNothingToRedeem, "this revocation is of no duplicate: give it to Share by the option Revocable")
	}
	raw, err := r.gate.SyscallConn()
	if err != nil {
		return system("revoking a duplicate", err)
	}
	taken := false
	_ = raw.Control(func(fd uintptr) { taken, err = sys.TakeGate(int(fd)) })
	switch {
	case err != nil:
		return system("revoking a duplicate", err)
	case !taken:
		return fail(ErrAlreadyRedeemed, "too late to revoke it")
	}
	r.held.revoke(r.token)
	return nil
}

// withSocket calls act with the descriptor of a socket, which stays open meanwhile.
func withSocket(socket any, act func(fd int) error) error {
	conn, isConn := socket.(syscall.Conn)
	if !isConn {
		return fail(ErrNotASocket, "%T has no descriptor of its own: give the connection below it", socket)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return system("using a socket", err)
	}
	if closed := raw.Control(func(fd uintptr) { err = act(int(fd)) }); closed != nil {
		return system("using a socket", closed)
	}
	return err
}

// describe is the identity of a socket, and its entry in the catalog.
func describe(fd int) (cookie uint64, entry *wire.Entry, err error) {
	cookie, err = sys.Cookie(fd)
	if err != nil {
		if errors.Is(err, syscall.ENOTSOCK) {
			return 0, nil, fail(ErrNotASocket, "the descriptor is another file's")
		}
		return 0, nil, system("asking which socket this is", err)
	}
	family, err := sys.Family(fd)
	kind, err2 := sys.Type(fd)
	if err := errors.Join(err, err2); err != nil {
		return 0, nil, system("asking for a socket's kind", err)
	}
	winsock := map[int]uint32{syscall.AF_INET: 2, syscall.AF_INET6: 23, syscall.AF_UNIX: 1}[family]
	return cookie, wire.EntryFor(winsock, uint32(kind)), nil
}

// as makes a value of package net of a descriptor, which is closed whatever comes of it.
func as[T any](fd int, make func(*os.File) (T, error)) (T, error) {
	file := os.NewFile(uintptr(fd), "shared socket")
	value, err := make(file)
	if err == nil {
		// There is another descriptor of the same: this is not the last.
		_ = file.Close()
		return value, nil
	}
	again, dupErr := dup(fd)
	_ = file.Close()
	if dupErr == nil {
		closeForeign(again)
	}
	return value, system("making a net value of a socket (is it of this kind?)", err)
}

// Conn redeems the 628 bytes of an info for a connection (WSASocket). It waits for at most five seconds, and only if the
// source holds the duplicate.
//
// All descriptors of a socket have their mode in common: it becomes non-blocking for all who share it, as Go has it.
func (e *Endpoint) Conn(info []byte) (net.Conn, error) {
	return e.ConnContext(context.Background(), info)
}

// ConnContext is [Endpoint.Conn] until ctx is done. Then nothing is lost: the same info can be redeemed later.
func (e *Endpoint) ConnContext(ctx context.Context, info []byte) (net.Conn, error) {
	return redeemAs(ctx, e, info, net.FileConn)
}

// Listener redeems an info for a listener, as [Endpoint.Conn] does for a connection.
func (e *Endpoint) Listener(info []byte) (net.Listener, error) {
	return e.ListenerContext(context.Background(), info)
}

// ListenerContext is [Endpoint.Listener] until ctx is done.
func (e *Endpoint) ListenerContext(ctx context.Context, info []byte) (net.Listener, error) {
	return redeemAs(ctx, e, info, net.FileListener)
}

// PacketConn redeems an info for a socket of datagrams, as [Endpoint.Conn] does for a connection.
func (e *Endpoint) PacketConn(info []byte) (net.PacketConn, error) {
	return e.PacketConnContext(context.Background(), info)
}

// PacketConnContext is [Endpoint.PacketConn] until ctx is done.
func (e *Endpoint) PacketConnContext(ctx context.Context, info []byte) (net.PacketConn, error) {
	return redeemAs(ctx, e, info, net.FilePacketConn)
}

// File redeems an info for a socket of any kind.
func (e *Endpoint) File(ctx context.Context, info []byte) (*os.File, error) {
	fd, err := e.redeem(ctx, info)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "shared socket"), nil
}

func redeemAs[T any](ctx context.Context, e *Endpoint, info []byte, make func(*os.File) (T, error)) (T, error) {
	fd, err := e.redeem(ctx, info)
	if err != nil {
		var none T
		return none, err
	}
	return as(fd, make)
}

// InfoText is the text form of an info: one line, safe in an environment variable and in a shell. Whatever takes an info
// takes this, too.
func InfoText(info []byte) (string, error) {
	read, err := wire.ReadInfo(info)
	if err != nil {
		return "", &Error{Kind: ErrBadInfo, Cause: err}
	}
	return read.Text(), nil
}
