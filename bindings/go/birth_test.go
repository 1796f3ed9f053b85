package sharesock

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
	"github.com/sharesock/sharesock/bindings/go/internal/wire"
)

// listenAndExec is what a child does before its program runs.
func listenAndExec() {
	for fd := 3; fd < 5; fd++ {
		if err := syscall.Listen(fd, backlog); err != nil {
			panic(err)
		}
	}
	must := os.Unsetenv(listenVariable)
	if must == nil {
		must = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	panic(must)
}

// unborn makes the listeners of a child that is yet to be born; and what it is told.
func unborn(t *testing.T, e *Endpoint) (p *private, sockets []*os.File, variable string) {
	t.Helper()
	p, err := newPrivate(e.domain)
	must(t, err)
	t.Cleanup(p.close)
	for at, suffix := range []string{"", handOffSuffix} {
		fd, err := seqpacket()
		must(t, err)
		must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: p.path("child" + suffix)}))
		cookie, err := sys.Cookie(fd)
		must(t, err)
		variable += fmt.Sprintf("%d:%d:", 3+at, cookie)
		sockets = append(sockets, os.NewFile(uintptr(fd), "listener"))
	}
	return p, sockets, fmt.Sprintf("%s=%s%d:%s:child", birthVariable, variable, e.domain.digest(), p.name)
}

func (p *private) path(name string) string { return at(p.folder, name) }

func TestAChildIsReadyFromItsBirth(t *testing.T) {
	for _, named := range []string{"by its parent", "by itself"} {
		t.Run(named, func(t *testing.T) {
			e := newEndpoint(t)
			private, sockets, variable := unborn(t, e)
			command := exec.Command(os.Args[0])
			command.ExtraFiles = sockets
			child := startCommand(t, command, variable, listenVariable+"=1", goVariable+"=1", laterVariable+"=1",
				domainVariable+"="+e.Domain())
			for _, socket := range sockets {
				must(t, socket.Close())
			}
			if named == "by itself" {
				child.must("open")
			} else {
				process, err := FindProcess(child.pid())
				must(t, err)
				for _, suffix := range []string{"", handOffSuffix} {
					must(t, move(private.path("child"+suffix), filepath.Join(e.Domain(), process.wire.Who().Name(suffix))))
				}
			}
			client, server := pair(t)
			info, err := e.Share(server, PID(child.pid()))
			must(t, err)
			if read, err := wire.ReadInfo(info); err != nil || read.Held {
				t.Fatalf("%+v, %v: it is not delivered", read, err)
			}
			s := sender(t, e, PID(child.pid()))
			must(t, s.HandOff(server, []byte("from birth")))
			if named != "by itself" {
				child.must("open")
			}
			text, err := InfoText(info)
			must(t, err)
			child.must("redeem " + text)
			child.must("receiver")
			if answer := child.must("receive"); !strings.HasSuffix(answer, " from birth") {
				t.Fatal(answer)
			}
			child.must("send here")
			expect(t, client, "here")
			must(t, s.Flush(context.Background()))
			child.must("close")
			child.must("close-receiver")
			child.must("close-endpoint")
			entries, err := os.ReadDir(e.Domain())
			must(t, err)
			for _, entry := range entries {
				if strings.HasPrefix(entry.Name(), fmt.Sprintf("%d-", child.pid())) {
					t.Errorf("%s is left", entry.Name())
				}
			}
		})
	}
}

func TestOnlyItsOwnListenersAreTakenOver(t *testing.T) {
	for _, text := range []string{
		"", "3:1:4:2:5:new-1", "3:1:4:2:5:other-1:name", "3:1:4:2:5:new-1/..:name", "3:1:4:2:5:new-1:a/b", "x:1:4:2:5:new-1:name",
		"3:1:4:2:5:new-1:name:more", "-3:1:4:2:5:new-1:name",
	} {
		if b, ok := parseBirth(text); ok {
			t.Errorf("%q is %+v", text, b)
		}
	}
	if _, ok := parseBirth("3:1:4:2:5:new-1:name"); !ok {
		t.Error("what is well formed is refused")
	}
	// This process does not listen on it; and it is to be closed on exec, so somebody took it.
	fd, err := seqpacket()
	must(t, err)
	defer syscall.Close(fd)
	cookie, err := sys.Cookie(fd)
	must(t, err)
	if adopt(fd, cookie) >= 0 || adopt(0, cookie) >= 0 || adopt(1<<20, cookie) >= 0 {
		t.Error("it was taken over")
	}
}
