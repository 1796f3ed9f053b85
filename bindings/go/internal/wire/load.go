package wire

import "strings"

const (
	loadStart = "SSL\x01"
	loadHead  = 8
	// MostBytes is the most bytes that go with a parcel.
	MostBytes = 1 << 16
	// MostParcels is the most parcels in one load.
	MostParcels = 253
	// MostLoad is the most bytes that a load has.
	MostLoad = loadHead + 4*MostParcels + MostBytes
)

// Load is the message that carries parcels.
func Load(parcels ...[]byte) []byte {
	load := little.AppendUint32([]byte(loadStart), uint32(len(parcels)))
	for _, parcel := range parcels {
		load = little.AppendUint32(load, uint32(len(parcel)))
	}
	for _, parcel := range parcels {
		load = append(load, parcel...)
	}
	return load
}

// ReadLoad returns the bytes of each parcel of a load that came with so many sockets.
func ReadLoad(load []byte, sockets int) ([][]byte, bool) {
	if len(load) < loadHead || !strings.HasPrefix(string(load[:4]), loadStart) {
		return nil, false
	}
	count, rest := uint64(little.Uint32(load[4:])), load[loadHead:]
	if count == 0 || count != uint64(sockets) || uint64(len(rest)) < 4*count {
		return nil, false
	}
	lengths, bytes := rest[:4*count], rest[4*count:]
	parcels := make([][]byte, 0, count)
	for ; len(lengths) > 0; lengths = lengths[4:] {
		length := uint64(little.Uint32(lengths))
		if length > uint64(len(bytes)) {
			return nil, false
		}
		parcels, bytes = append(parcels, bytes[:length]), bytes[length:]
	}
	return parcels, len(bytes) == 0
}
