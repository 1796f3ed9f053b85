package wire

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
)

const (
	// Wide is the size of WSAPROTOCOL_INFOW, Narrow that of WSAPROTOCOL_INFOA.
	Wide   = 628
	Narrow = 372
	// HeadSize is the size of all before the name.
	HeadSize   = 116
	textPrefix = "sharesock1:"
	delivered  = 'S' | 'H'<<8 | 'S'<<16 | 3<<24
	held       = 'S' | 'H'<<8 | 'S'<<16 | 4<<24
)

// Offsets of what is of interest beyond the catalog.
const (
	atWay       = 4
	atDomain    = 8
	atChecksum  = 12
	atProvider  = 20
	atEntry     = 36
	atToken     = 44
	atTargetTag = 60
	atSourceID  = 64
	atSourceTag = 68
	atTargetID  = 112
)

var members = [HeadSize / 4]string{
	"dwServiceFlags1", "dwServiceFlags2", "dwServiceFlags3", "dwServiceFlags4", "dwProviderFlags",
	"ProviderId", "ProviderId", "ProviderId", "ProviderId",
	"dwCatalogEntryId", "ProtocolChain.ChainLen",
	"ProtocolChain.ChainEntries[0]", "ProtocolChain.ChainEntries[1]", "ProtocolChain.ChainEntries[2]",
	"ProtocolChain.ChainEntries[3]", "ProtocolChain.ChainEntries[4]", "ProtocolChain.ChainEntries[5]",
	"ProtocolChain.ChainEntries[6]",
	"iVersion", "iAddressFamily", "iMaxSockAddr", "iMinSockAddr", "iSocketType", "iProtocol", "iProtocolMaxOffset",
	"iNetworkByteOrder", "iSecurityScheme", "dwMessageSize", "dwProviderReserved",
}

// Info is what the bytes of a WSAPROTOCOL_INFO say.
type Info struct {
	Entry *Entry
	// Empty tells that it describes a protocol, and names no duplicate.
	Empty          bool
	Token          Token
	Target, Source Who
	Domain         uint32
	Held           bool
}

// IsOffer tells whether whoever has the info may redeem it.
func (i *Info) IsOffer() bool { return i.Held && i.Target == Who{} }

// Head has the 116 bytes before the name.
func (i *Info) Head() [HeadSize]byte {
	var head [HeadSize]byte
	e := i.Entry
	put := func(at int, words ...uint32) {
		for _, word := range words {
			little.PutUint32(head[at:], word)
			at += 4
		}
	}
	put(0, e.serviceFlags)
	put(16, e.providerFlags)
	copy(head[atProvider:], e.provider[:])
	put(atEntry, e.ID, 1)
	put(72, 2, e.Family, e.maxAddress, e.minAddress, e.Type, e.protocol, e.maxOffset, 0, 0, e.messageSize)
	if i.Empty {
		return head
	}
	put(atWay, delivered, i.Domain)
	if i.Held {
		put(atWay, held)
	}
	copy(head[atToken:], i.Token[:])
	put(atTargetTag, i.Target.Tag, i.Source.ID, i.Source.Tag)
	put(atTargetID, i.Target.ID)
	sum := uint32(digestStart)
	for _, at := range [...]int{atToken, 48, 52, 56, atWay, atEntry, atTargetID, atTargetTag, atSourceID, atSourceTag, atDomain} {
		sum = bits.RotateLeft32((sum^little.Uint32(head[at:]))*digestPrime, 15)
	}
	put(atChecksum, sum)
	return head
}

// Bytes are the 628 bytes of the wide form.
func (i *Info) Bytes() []byte {
	head, info := i.Head(), make([]byte, Wide)
	copy(info, head[:])
	for at := range len(i.Entry.Name) {
		info[HeadSize+2*at] = i.Entry.Name[at]
	}
	return info
}

// ReadInfo reads either form, or the text form; what is wrong with it otherwise.
func ReadInfo(info []byte) (Info, error) {
	switch len(info) {
	case Wide, Narrow:
		return readHead([HeadSize]byte(info[:HeadSize]))
	}
	if digits, found := strings.CutPrefix(strings.TrimSpace(string(info[:min(len(info), 1024)])), textPrefix); found {
		head, err := hex.DecodeString(digits)
		if err != nil || len(head) != HeadSize || len(info) > 1024 {
			return Info{}, fmt.Errorf("its text is not %s and 232 hexadecimal digits", textPrefix)
		}
		return readHead([HeadSize]byte(head))
	}
	return Info{}, fmt.Errorf("it has %d bytes: the wide form has 628, the narrow one 372; send all of them", len(info))
}

func readHead(head [HeadSize]byte) (Info, error) {
	word := func(at int) uint32 { return little.Uint32(head[at:]) }
	wrong := func(at int) error {
		return fmt.Errorf("member %s holds %#x: the info was altered, or another library made it", members[at/4], word(at))
	}
	way := word(atWay)
	info := Info{Entry: entryByID(word(atEntry)), Empty: way == 0, Held: way == held}
	if info.Entry == nil {
		return Info{}, wrong(atEntry)
	}
	switch way {
	case 0:
	case delivered, held:
		info.Token, info.Domain = Token(head[atToken:atTargetTag]), word(atDomain)
		info.Target, info.Source = Who{word(atTargetID), word(atTargetTag)}, Who{word(atSourceID), word(atSourceTag)}
	default:
		return Info{}, wrong(atWay)
	}
	// What we would have written is the only thing that is accepted.
	written := info.Head()
	for at := 0; at < HeadSize; at += 4 {
		if word(at) != little.Uint32(written[at:]) {
			return Info{}, wrong(at)
		}
	}
	return info, nil
}

// Text is the form that is safe in an environment variable and in a shell.
func (i *Info) Text() string {
	head := i.Head()
	return textPrefix + hex.EncodeToString(head[:])
}
