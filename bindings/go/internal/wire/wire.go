// Package wire has the layouts of what processes say to each other, as docs/wire.md of the repository describes them. It
// does no input or output.
package wire

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

var little = binary.LittleEndian

const (
	digestStart = 0x811C9DC5
	digestPrime = 0x01000193
)

// Digest is 32-bit FNV-1a over some bytes.
func Digest(bytes []byte) uint32 {
	hash := uint32(digestStart)
	for _, b := range bytes {
		hash = (hash ^ uint32(b)) * digestPrime
	}
	return hash
}

// Pair is the digest of two numbers: of device and inode of a domain, of start and namespace of a process.
func Pair(a, b uint64) uint32 {
	return Digest(little.AppendUint64(little.AppendUint64(nil, a), b))
}

// Process is a process as it names itself.
type Process struct {
	ID        uint32
	Start     uint64
	Namespace uint64
}

// Who is the short form of a process: its id, and what tells it from others that had the same.
type Who struct{ ID, Tag uint32 }

// Who is the short form of a process.
func (p Process) Who() Who { return Who{p.ID, Pair(p.Start, p.Namespace)} }

func (p Process) String() string { return fmt.Sprintf("%d:%d:%d", p.ID, p.Start, p.Namespace) }

// ParseProcess reads the text form of a process.
func ParseProcess(text string) (Process, bool) {
	parts := strings.Split(strings.TrimSpace(text), ":")
	if len(parts) != 3 {
		return Process{}, false
	}
	id, err := strconv.ParseUint(parts[0], 10, 32)
	start, err2 := strconv.ParseUint(parts[1], 10, 64)
	namespace, err3 := strconv.ParseUint(parts[2], 10, 64)
	return Process{uint32(id), start, namespace}, err == nil && err2 == nil && err3 == nil
}

// ProcessSize is the size of a process in bytes.
const ProcessSize = 20

// Append appends the bytes of a process.
func (p Process) Append(bytes []byte) []byte {
	return little.AppendUint64(little.AppendUint64(little.AppendUint32(bytes, p.ID), p.Start), p.Namespace)
}

// ReadProcess reads the first 20 bytes, of which there must be as many.
func ReadProcess(bytes []byte) Process {
	return Process{little.Uint32(bytes), little.Uint64(bytes[4:]), little.Uint64(bytes[12:])}
}

// Name is where a process listens in its domain.
func (w Who) Name(suffix string) string { return fmt.Sprintf("%d-%08x%s", w.ID, w.Tag, suffix) }

// ParseName is the process whose name this is, and what follows.
func ParseName(name string) (Who, string, bool) {
	id, rest, found := strings.Cut(name, "-")
	if !found || len(rest) < 8 {
		return Who{}, "", false
	}
	number, err := strconv.ParseUint(id, 10, 32)
	tag, err2 := strconv.ParseUint(rest[:8], 16, 32)
	return Who{uint32(number), uint32(tag)}, rest[8:], err == nil && err2 == nil
}
