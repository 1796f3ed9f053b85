package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// vector is a line of the file that the Rust library checks, too.
type vector struct {
	t      *testing.T
	line   string
	fields map[string]string
	bytes  []byte
}

func vectors(t *testing.T, kind string) (found []vector) {
	text, err := os.ReadFile("../../../../docs/wire/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != kind {
			continue
		}
		v := vector{t: t, line: line, fields: map[string]string{}}
		for _, field := range words[1:] {
			if name, value, isField := strings.Cut(field, "="); isField && name != "" {
				v.fields[name] = value
			}
		}
		_, digits, _ := strings.Cut(line, " = ")
		v.bytes = v.hex(strings.TrimSpace(digits))
		found = append(found, v)
	}
	if len(found) == 0 {
		t.Fatalf("no vectors of %s", kind)
	}
	return found
}

func (v vector) hex(digits string) []byte {
	read, err := hex.DecodeString(digits)
	if err != nil {
		v.t.Fatal(err, v.line)
	}
	return read
}

func (v vector) number(field string) uint64 { return v.parse(field, 10) }
func (v vector) word(field string) uint32   { return uint32(v.parse(field, 16)) }
func (v vector) token() Token               { return Token(v.hex(v.fields["token"])) }

func (v vector) parse(field string, base int) uint64 {
	n, err := strconv.ParseUint(v.fields[field], base, 64)
	if err != nil {
		v.t.Fatal(err, v.line)
	}
	return n
}

func (v vector) process() Process {
	return Process{uint32(v.number("id")), v.number("start"), v.number("namespace")}
}

func (v vector) same(what any, expected any) {
	if what != expected {
		v.t.Errorf("%v, not %v: %s", what, expected, v.line)
	}
}

func (v vector) sameBytes(written []byte) {
	if !bytes.Equal(written, v.bytes) {
		v.t.Errorf("%x: %s", written, v.line)
	}
}

func TestVectorsOfProcesses(t *testing.T) {
	for _, v := range vectors(t, "digest") {
		v.same(Digest(v.bytes), v.word("value"))
	}
	for _, v := range vectors(t, "process") {
		v.sameBytes(v.process().Append(nil))
		v.same(ReadProcess(v.bytes), v.process())
		v.same(v.process().Who().Tag, v.word("tag"))
		read, _ := ParseProcess(v.process().String())
		v.same(read, v.process())
	}
}

func TestVectorsOfFrames(t *testing.T) {
	kinds := map[string]func(vector) Frame{
		"hello": func(v vector) Frame { return Frame{Kind: Hello, Process: v.process()} },
		"deliver": func(v vector) Frame {
			return Frame{Kind: Deliver, Token: v.token(), Cookie: v.number("cookie"), Expires: v.number("expires"), Gated: v.number("gated") == 1}
		},
		"claim":    func(v vector) Frame { return Frame{Kind: Claim, Token: v.token()} },
		"refuse":   func(v vector) Frame { return Frame{Kind: Refuse, Token: v.token(), Reason: byte(v.number("reason"))} },
		"appetite": func(v vector) Frame { return Frame{Kind: Appetite, Parcels: uint32(v.number("parcels"))} },
		"too-many": func(vector) Frame { return Frame{Kind: TooMany} },
	}
	for kind, frame := range kinds {
		for _, v := range vectors(t, kind) {
			v.sameBytes(frame(v).Bytes())
			read, ok := ReadFrame(v.bytes)
			v.same(read, frame(v))
			v.same(ok, true)
		}
	}
	for _, v := range vectors(t, "refused-frame") {
		_, ok := ReadFrame(v.bytes)
		v.same(ok, false)
	}
}

func TestVectorsOfInfos(t *testing.T) {
	for at, v := range vectors(t, "catalog") {
		entry := &Catalog[at]
		v.same(fmt.Sprint(entry.ID, entry.Family, entry.Type), fmt.Sprint(v.number("id"), v.number("family"), v.number("type")))
		v.same(strings.ReplaceAll(entry.Name, " ", "_"), v.fields["name"])
		v.infoBothWays(Info{Entry: entry, Empty: true})
	}
	for _, v := range vectors(t, "info") {
		v.infoBothWays(Info{
			Entry: entryByID(uint32(v.number("entry"))), Token: v.token(), Domain: v.word("domain"), Held: v.number("held") == 1,
			Target: Who{uint32(v.number("target-id")), v.word("target-tag")},
			Source: Who{uint32(v.number("source-id")), v.word("source-tag")},
		})
	}
	for _, v := range vectors(t, "refused-info") {
		_, err := ReadInfo(append(bytes.Clone(v.bytes), make([]byte, Wide-HeadSize)...))
		if err == nil || !strings.Contains(err.Error(), "member "+v.fields["member"]+" ") {
			t.Errorf("%v: %s", err, v.line)
		}
	}
}

func (v vector) infoBothWays(info Info) {
	wide := info.Bytes()
	v.sameBytes(wide[:HeadSize])
	for _, form := range [][]byte{wide, wide[:Narrow], []byte(info.Text()), []byte(strings.ToUpper(" " + info.Text() + "\n"))} {
		if bytes.HasPrefix(form, []byte(" SHARESOCK1:")) {
			form = bytes.Replace(form, []byte("SHARESOCK1:"), []byte(textPrefix), 1)
		}
		read, err := ReadInfo(form)
		v.same(err, nil)
		v.same(read, info)
	}
}

func TestVectorsOfLoads(t *testing.T) {
	for _, v := range vectors(t, "load") {
		var parcels [][]byte
		for _, part := range strings.Split(v.fields["parcels"], ",") {
			parcels = append(parcels, v.hex(strings.Trim(part, "-")))
		}
		v.sameBytes(Load(parcels...))
		read, ok := ReadLoad(v.bytes, len(parcels))
		v.same(ok, true)
		v.same(fmt.Sprintf("%x", read), fmt.Sprintf("%x", parcels))
	}
	for _, v := range vectors(t, "refused-load") {
		_, ok := ReadLoad(v.bytes, int(v.number("descriptors")))
		v.same(ok, false)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(Frame{Kind: Deliver, Cookie: 1, Gated: true}.Bytes())
	f.Add(Frame{Kind: Hello}.Bytes())
	f.Fuzz(func(t *testing.T, read []byte) {
		if frame, ok := ReadFrame(read); ok && !bytes.Equal(frame.Bytes(), read) {
			t.Errorf("%+v", frame)
		}
	})
}

func FuzzInfo(f *testing.F) {
	info := Info{Entry: &Catalog[0], Held: true}
	f.Add(info.Bytes())
	f.Add([]byte(info.Text()))
	f.Fuzz(func(t *testing.T, read []byte) {
		info, err := ReadInfo(read)
		if err == nil && (len(read) == Wide || len(read) == Narrow) && !bytes.Equal(info.Bytes()[:HeadSize], read[:HeadSize]) {
			t.Errorf("%+v", info)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(Load([]byte("a"), nil), 2)
	f.Fuzz(func(t *testing.T, read []byte, sockets int) {
		if parcels, ok := ReadLoad(read, sockets); ok && (len(parcels) != sockets || !bytes.Equal(Load(parcels...), read)) {
			t.Errorf("%x", parcels)
		}
	})
}
