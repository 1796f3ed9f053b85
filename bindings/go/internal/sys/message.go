//go:build linux && (amd64 || arm64 || riscv64 || loong64)

package sys

import "syscall"

// Look says whether a message stays in the queue.
type Look int

// Peek leaves the message in the queue, Take takes it.
const (
	Peek Look = syscall.MSG_PEEK
	Take Look = 0
)

const (
	scmPidfd = 4
	// unasked is room for control messages that nobody asked for: credentials, a label, a descriptor of a process.
	unasked = 512
)

// Message is what was looked at or taken. Its length is that of the whole message, also if the buffer was shorter.
type Message struct {
	Length      int
	Descriptors []int
	// Lacking tells that it has descriptors that found no place in this process's table.
	Lacking bool
}

// Send sends one message with descriptors, without waiting and without a signal.
func Send(fd int, bytes []byte, descriptors ...int) error {
	var control []byte
	if len(descriptors) > 0 {
		control = syscall.UnixRights(descriptors...)
	}
	return Retry(func() error {
		_, err := syscall.SendmsgN(fd, bytes, control, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		return err
	})
}

// Receive looks at one message or takes it, with room for so many descriptors, without waiting. A length of 0 is the end.
//
// A message that is only looked at stays, and its descriptors are further ones of the same sockets.
func Receive(fd int, buffer []byte, room int, look Look) (Message, error) {
	control := make([]byte, syscall.CmsgSpace(4*room)+unasked)
	var length, written, flags int
	err := Retry(func() (err error) {
		length, written, flags, _, err = syscall.Recvmsg(fd, buffer, control,
			int(look)|syscall.MSG_DONTWAIT|syscall.MSG_CMSG_CLOEXEC|syscall.MSG_TRUNC)
		return err
	})
	if err != nil {
		return Message{}, err
	}
	message := Message{Length: length, Lacking: flags&syscall.MSG_CTRUNC != 0}
	parts, err := syscall.ParseSocketControlMessage(control[:written])
	if err != nil {
		return message, nil
	}
	for _, part := range parts {
		if part.Header.Level != syscall.SOL_SOCKET {
			continue
		}
		switch part.Header.Type {
		case syscall.SCM_RIGHTS:
			if rights, err := syscall.ParseUnixRights(&part); err == nil {
				message.Descriptors = append(message.Descriptors, rights...)
			}
		case scmPidfd:
			part.Header.Type = syscall.SCM_RIGHTS
			if unwanted, err := syscall.ParseUnixRights(&part); err == nil {
				for _, fd := range unwanted {
					_ = syscall.Close(fd)
				}
			}
		}
	}
	return message, nil
}

// Drop takes the first message without what it has: its descriptors go with it.
func Drop(fd int) error {
	return Retry(func() error {
		_, _, _, _, err := syscall.Recvmsg(fd, make([]byte, 1), nil, syscall.MSG_DONTWAIT)
		return err
	})
}
