package wire

import "bytes"

// FrameSize is the size of every frame in bytes.
const FrameSize = 40

// Kinds of frames.
const (
	Hello    = 1
	Deliver  = 2
	Claim    = 3
	Refuse   = 4
	Appetite = 5
	TooMany  = 6
)

// Why a claim gets nothing.
const (
	NotHeld = 1
	Expired = 2
	Revoked = 3
)

// Token names a duplicate: eight random bytes, and the cookie of the socket.
type Token [16]byte

// NewToken makes a token of eight random bytes.
func NewToken(random [8]byte, cookie uint64) Token {
	var token Token
	copy(token[:], random[:])
	little.PutUint64(token[8:], cookie)
	return token
}

// Cookie is the identity of the underlying socket.
func (t Token) Cookie() uint64 { return little.Uint64(t[8:]) }

// Frame is what one process tells another. Only the fields of its kind are used.
type Frame struct {
	Kind    byte
	Process Process
	Token   Token
	Cookie  uint64
	// Expires is in nanoseconds since boot; 0 is never.
	Expires uint64
	Gated   bool
	Reason  byte
	Parcels uint32
}

// Bytes are the 40 bytes of a frame.
func (f Frame) Bytes() []byte {
	frame := append(make([]byte, 0, FrameSize), 'S', 'S', 1, f.Kind)
	switch f.Kind {
	case Hello:
		frame = f.Process.Append(frame)
	case Deliver:
		frame = little.AppendUint64(little.AppendUint64(append(frame, f.Token[:]...), f.Cookie), f.Expires)
		if f.Gated {
			frame = append(frame, 1)
		}
	case Claim:
		frame = append(frame, f.Token[:]...)
	case Refuse:
		frame = append(append(frame, f.Token[:]...), f.Reason)
	case Appetite:
		frame = little.AppendUint32(frame, f.Parcels)
	}
	return frame[:FrameSize]
}

// ReadFrame reads a frame. Only what Bytes would have written is one.
func ReadFrame(read []byte) (Frame, bool) {
	if len(read) != FrameSize {
		return Frame{}, false
	}
	frame, body := Frame{Kind: read[3]}, read[4:]
	switch frame.Kind {
	case Hello:
		frame.Process = ReadProcess(body)
	case Deliver:
		frame.Token = Token(body[:16])
		frame.Cookie, frame.Expires, frame.Gated = little.Uint64(body[16:]), little.Uint64(body[24:]), body[32] == 1
	case Claim:
		frame.Token = Token(body[:16])
	case Refuse:
		frame.Token, frame.Reason = Token(body[:16]), body[16]
		if frame.Reason < NotHeld || frame.Reason > Revoked {
			return Frame{}, false
		}
	case Appetite:
		frame.Parcels = little.Uint32(body)
	case TooMany:
	default:
		return Frame{}, false
	}
	return frame, bytes.Equal(frame.Bytes(), read)
}
