package wire

// Entry is an entry of Winsock's catalog of protocols.
type Entry struct {
	ID            uint32
	provider      *[16]byte
	serviceFlags  uint32
	providerFlags uint32
	Family        uint32
	Type          uint32
	protocol      uint32
	maxOffset     uint32
	maxAddress    uint32
	minAddress    uint32
	messageSize   uint32
	Name          string
}

var (
	ipv4 = &[16]byte{0xa0, 0x1a, 0x0f, 0xe7, 0x8b, 0xab, 0xcf, 0x11, 0x8c, 0xa3, 0, 0x80, 0x5f, 0x48, 0xa1, 0x92}
	ipv6 = &[16]byte{0xc0, 0xb0, 0xea, 0xf9, 0xd4, 0x26, 0xd0, 0x11, 0xbb, 0xbf, 0, 0xaa, 0, 0x6c, 0x34, 0xe4}
	unix = &[16]byte{0xd9, 0x43, 0x09, 0xa0, 0x2e, 0x9c, 0x33, 0x46, 0x9b, 0x59, 0, 0x57, 0xa3, 0x16, 0x09, 0x94}
)

const (
	stream   = 0x20066
	datagram = 0x20609
	anySize  = 0xFFFFFFFF
)

// Catalog has all entries, in the order of their ids. From 1101 on they are of sockets that Winsock does not have.
var Catalog = [...]Entry{
	{1001, ipv4, stream, 0x8, 2, 1, 6, 0, 16, 16, 0, "MSAFD Tcpip [TCP/IP]"},
	{1002, ipv4, datagram, 0x8, 2, 2, 17, 0, 16, 16, 0xFFBB, "MSAFD Tcpip [UDP/IP]"},
	{1003, ipv4, datagram, 0xC, 2, 3, 0, 255, 16, 16, 0x8000, "MSAFD Tcpip [RAW/IP]"},
	{1004, ipv6, stream, 0x8, 23, 1, 6, 0, 28, 28, 0, "MSAFD Tcpip [TCP/IPv6]"},
	{1005, ipv6, datagram, 0x8, 23, 2, 17, 0, 28, 28, 0xFFBB, "MSAFD Tcpip [UDP/IPv6]"},
	{1006, ipv6, datagram, 0xC, 23, 3, 0, 255, 28, 28, 0x8000, "MSAFD Tcpip [RAW/IPv6]"},
	{1007, unix, 0x20006, 0x8, 1, 1, 0, 0, 110, 2, 0, "AF_UNIX"},
	{1101, unix, 0x2000E, 0x8, 1, 2, 0, 0, 110, 2, anySize, "AF_UNIX [datagram]"},
	{1102, unix, 0x2000E, 0x8, 1, 5, 0, 0, 110, 2, anySize, "AF_UNIX [seqpacket]"},
	{1103, unix, 0x20000, 0x8, 0, 1, 0, 0, 128, 2, 0, "other stream"},
	{1104, unix, 0x20008, 0x8, 0, 2, 0, 0, 128, 2, anySize, "other messages"},
}

func entryByID(id uint32) *Entry {
	for at := range Catalog {
		if Catalog[at].ID == id {
			return &Catalog[at]
		}
	}
	return nil
}

// EntryFor is the entry for a socket, by Winsock's numbers. Every socket has one.
func EntryFor(family, kind uint32) *Entry {
	for at := range Catalog {
		if Catalog[at].Family == family && Catalog[at].Type == kind {
			return &Catalog[at]
		}
	}
	if kind == 1 {
		return &Catalog[len(Catalog)-2]
	}
	return &Catalog[len(Catalog)-1]
}
