package sharesock

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Kind is what is wrong, by a name that does not change. The kinds are errors, for [errors.Is].
type Kind struct {
	name    string
	text    string
	errno   syscall.Errno
	winsock int
}

// Name is the stable name of a kind: that of the variant of the Rust library's Error.
func (k *Kind) Name() string { return k.name }

func (k *Kind) Error() string { return "sharesock: " + k.text }

// The kinds of errors.
var (
	// ErrNotASocket: the value has no descriptor of its own, or the descriptor is not a socket's.
	ErrNotASocket = &Kind{"NotASocket", "not a socket", syscall.ENOTSOCK, 10038}
	// ErrNoSuchProcess: the target does not exist, or has ended.
	ErrNoSuchProcess = &Kind{"NoSuchProcess", "there is no such process: ask the target for its own id", syscall.ESRCH, 10022}
	// ErrNotAProcess: a text names no process.
	ErrNotAProcess = &Kind{"NotAProcess", "this does not name a process: give what Process.String returned", 0, 10022}
	// ErrNoEndpoint: the target has no receiver in this domain.
	ErrNoEndpoint = &Kind{"NoEndpoint", "the process does not receive in this domain: let it open its endpoint, or its receiver, first", 0, 10050}
	// ErrImpostor: another process listens under the target's name.
	ErrImpostor = &Kind{"Impostor", "another process answers at the endpoint: refused; remove the name if it is stale", 0, 10013}
	// ErrQueueFull: as many duplicates are held as may be.
	ErrQueueFull = &Kind{"QueueFull", "too much waits for the target: let it redeem, then try again", syscall.EAGAIN, 10055}
	// ErrTooManyInFlight: too many descriptors of this user are in flight.
	ErrTooManyInFlight = &Kind{"TooManyInFlight", "too many descriptors are in flight: let targets redeem, or raise the limit of open files", syscall.ETOOMANYREFS, 10055}
	// ErrBadInfo: the bytes are no info that sharesock made.
	ErrBadInfo = &Kind{"BadInfo", "not a usable protocol info", 0, 10022}
	// ErrNothingToRedeem: the info describes a protocol, and names no duplicate.
	ErrNothingToRedeem = &Kind{"NothingToRedeem", "the protocol info names no duplicate", 0, 10022}
	// ErrWrongProcess: the info is for another process.
	ErrWrongProcess = &Kind{"WrongProcess", "the protocol info is for another process: redeem it there", 0, 10022}
	// ErrWrongDomain: the info was made in another domain.
	ErrWrongDomain = &Kind{"WrongDomain", "the protocol info was made in another domain: set SHARESOCK_DOMAIN alike in both processes", 0, 10022}
	// ErrAlreadyRedeemed: the info was redeemed before.
	ErrAlreadyRedeemed = &Kind{"AlreadyRedeemed", "the protocol info was redeemed already: duplicate once for each redemption", 0, 10022}
	// ErrUnknownDelivery: nothing under this info has reached this process.
	ErrUnknownDelivery = &Kind{"UnknownDelivery", "no duplicate waits under this protocol info: its target opened a new endpoint since, or it was redeemed long ago", 0, 10022}
	// ErrExpired: the time of the info ran out.
	ErrExpired = &Kind{"Expired", "the protocol info has expired: ask the source for a new one", 0, 10022}
	// ErrRevoked: the source revoked the info.
	ErrRevoked = &Kind{"Revoked", "the protocol info was revoked by its source", 0, 10022}
	// ErrSourceGone: the source ended while it held the duplicate.
	ErrSourceGone = &Kind{"SourceGone", "the source ended while it held this duplicate: let a source call Flush before it ends", 0, 10022}
	// ErrSourceSilent: the source holds the duplicate and does not answer. The same info can be redeemed when it does.
	ErrSourceSilent = &Kind{"SourceSilent", "the source process does not answer: the same info can be redeemed when it does", 0, 10060}
	// ErrStillHeld: duplicates are held here after a flush.
	ErrStillHeld = &Kind{"StillHeld", "duplicates are still held for their targets: let them redeem, and do not end before", 0, 10035}
	// ErrHandOffFull: the target has no room for more sockets now.
	ErrHandOffFull = &Kind{"HandOffFull", "the process has no room for more sockets now: let it receive, and try again", syscall.EAGAIN, 10035}
	// ErrTargetGone: the target of hand-offs has ended, or closed its receiver.
	ErrTargetGone = &Kind{"TargetGone", "the process does not receive any more: reclaim what it did not take, and give it to another", syscall.EPIPE, 10054}
	// ErrTurnedAway: the target has too many senders of this process or user.
	ErrTurnedAway = &Kind{"TurnedAway", "the process accepts no more senders from this process or user", 0, 10055}
	// ErrNotTaken: what was handed off was not taken by the end of a flush.
	ErrNotTaken = &Kind{"NotTaken", "the process has not taken all that was handed off to it: wait longer, or reclaim", 0, 10035}
	// ErrTooManyBytes: more bytes than may go with a socket.
	ErrTooManyBytes = &Kind{"TooManyBytes", "too many bytes to go with a socket", syscall.EMSGSIZE, 10040}
	// ErrTooManyUnredeemed: this process has too many duplicates that nobody redeemed.
	ErrTooManyUnredeemed = &Kind{"TooManyUnredeemed", "too many duplicates wait here unredeemed: redeem or discard them", 0, 10055}
	// ErrTooManyLinks: too many processes have links to this one.
	ErrTooManyLinks = &Kind{"TooManyLinks", "too many links to this process are open", 0, 10055}
	// ErrEndpointOpen: another library of this process has an endpoint in the domain.
	ErrEndpointOpen = &Kind{"EndpointOpen", "another part of this process has an endpoint in this domain already: have all parts share one library", syscall.EEXIST, 10048}
	// ErrReceiverOpen: this process has a receiver of this name already.
	ErrReceiverOpen = &Kind{"ReceiverOpen", "this process has a receiver of this name already: share it, or give this one another name", syscall.EEXIST, 10048}
	// ErrBadName: no receiver can have this name.
	ErrBadName = &Kind{"BadName", "no name for a receiver: give up to 32 letters, digits, '.', '_' and '-'", 0, 10022}
	// ErrUntrustedDomain: the directory of the domain is open to others, or somebody else's.
	ErrUntrustedDomain = &Kind{"UntrustedDomain", "the domain is refused", 0, 10050}
	// ErrNameTaken: another user has a name that this process needs.
	ErrNameTaken = &Kind{"NameTaken", "another user holds the name: use another domain", 0, 10013}
	// ErrClosed: the endpoint, receiver or sender was closed by this process. It is net.ErrClosed, too.
	ErrClosed = &Kind{"Closed", "closed by this process: open it again", 0, 10038}
	// ErrSystem: the system refused a call. The errno is what errors.Is and errors.As find beside it.
	ErrSystem = &Kind{"System", "the system refused", 0, 10107}
)

// Error is an error of this package: its kind, what happened, and the cause if there is one.
type Error struct {
	Kind *Kind
	// Detail has names and numbers.
	Detail string
	Cause  error
}

func (e *Error) Error() string {
	text := e.Kind.Error()
	if e.Kind == ErrSystem {
		text = "sharesock"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap has errors.Is find the kind, the system's code and the cause.
func (e *Error) Unwrap() []error {
	all := []error{e.Kind}
	if e.Kind.errno != 0 {
		all = append(all, e.Kind.errno)
	}
	if e.Kind == ErrClosed {
		all = append(all, net.ErrClosed)
	}
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	return all
}

// Temporary tells servers that accept in a loop that another attempt may succeed: a descriptor was lacking.
func (e *Error) Temporary() bool { return isPassing(e.Cause) }

// Timeout tells whether a deadline passed.
func (e *Error) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(e.Cause, &timeout) && timeout.Timeout()
}

// WinsockCode is what WSAGetLastError returns for the same mistake.
func (e *Error) WinsockCode() int {
	var errno syscall.Errno
	if e.Kind == ErrSystem && errors.As(e.Cause, &errno) {
		if code, found := winsockCodes[errno]; found {
			return code
		}
	}
	return e.Kind.winsock
}

func fail(kind *Kind, detail string, arguments ...any) error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(detail, arguments...)}
}

func system(doing string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: ErrSystem, Detail: doing, Cause: err}
}

// isPassing tells whether what the kernel refused so may succeed later: it says nothing of the socket that was asked.
func isPassing(err error) bool {
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

var winsockCodes = map[syscall.Errno]int{
	syscall.EINTR: 10004, syscall.EBADF: 10038, syscall.ENOTSOCK: 10038, syscall.EACCES: 10013, syscall.EPERM: 10013,
	syscall.EROFS: 10013, syscall.EINVAL: 10022, syscall.EMFILE: 10024, syscall.ENFILE: 10024, syscall.EAGAIN: 10035,
	syscall.EMSGSIZE: 10040, syscall.EOPNOTSUPP: 10045, syscall.ENOSYS: 10045, syscall.EADDRINUSE: 10048,
	syscall.EEXIST: 10048, syscall.ECONNRESET: 10054, syscall.EPIPE: 10054, syscall.ENOBUFS: 10055,
	syscall.ENOMEM: 10055, syscall.ENOSPC: 10055, syscall.ETIMEDOUT: 10060, syscall.ECONNREFUSED: 10061,
	syscall.ENOENT: 10061, syscall.ENOTDIR: 10061, syscall.ELOOP: 10062, syscall.ENAMETOOLONG: 10063,
}
