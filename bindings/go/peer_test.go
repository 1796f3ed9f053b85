package sharesock

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sharesock/sharesock/bindings/go/internal/sys"
)

// Peers are processes that obey commands, one a line. Those of this program and those of the Rust library's tests know the
// same ones, so that what is tried with one is tried with the other.

const (
	domainVariable = "SHARESOCK_TEST_PEER_DOMAIN"
	laterVariable  = "SHARESOCK_TEST_PEER_LATER"
	goVariable     = "SHARESOCK_TEST_PEER_GO"
	// The program of the Rust library's tests, and the name of the test that a peer runs.
	rustVariable     = "SHARESOCK_RUST_PEER"
	rustTestVariable = "SHARESOCK_RUST_PEER_TEST"
	// A peer listens on two sockets that it inherits, and executes itself.
	listenVariable = "SHARESOCK_TEST_PEER_LISTEN"
	answerMark     = "peer> "
	// A deadline bounds hangs, and nothing else: the machine may be busy.
	patience = time.Minute
)

func TestMain(m *testing.M) {
	if os.Getenv(listenVariable) != "" {
		listenAndExec()
	}
	if os.Getenv(goVariable) != "" {
		obeyAll()
		return
	}
	os.Exit(m.Run())
}

type obedient struct {
	endpoint *Endpoint
	receiver *Receiver
	senders  []*Sender
	held     *os.File
}

func obeyAll() {
	o := &obedient{}
	answer := func(text string, err error) {
		if err != nil {
			text = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answerMark + text)
	}
	if os.Getenv(laterVariable) == "" {
		if _, err := o.obey("open", ""); err != nil {
			answer("", err)
			return
		}
	}
	answer("ready", nil)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		answer(o.obey(verb, rest))
	}
}

func (o *obedient) hold(file *os.File, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if o.held != nil {
		_ = o.held.Close()
	}
	o.held = file
	return "ok " + strconv.FormatUint(cookieOf(file), 10), nil
}

func cookieOf(socket any) (cookie uint64) {
	_ = withSocket(socket, func(fd int) (err error) {
		cookie, err = sys.Cookie(fd)
		return err
	})
	return cookie
}

func (o *obedient) obey(verb, rest string) (answer string, err error) {
	ctx := context.Background()
	switch verb {
	case "open":
		o.endpoint, err = Open(os.Getenv(domainVariable))
	case "close-endpoint":
		err = o.endpoint.Close()
	case "process":
		return o.endpoint.Process().String(), nil
	case "redeem":
		return o.hold(o.endpoint.File(ctx, []byte(rest)))
	case "discard":
		err = o.endpoint.Discard(ctx, []byte(rest))
	case "duplicate":
		pid, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		info, err := o.endpoint.Share(o.held, PID(pid))
		if err != nil {
			return "", err
		}
		text, err := InfoText(info)
		return "ok " + text, err
	case "flush":
		seconds, _ := strconv.Atoi(rest)
		limited, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer cancel()
		err = o.endpoint.Flush(limited)
	case "send":
		_, err = o.held.Write([]byte(rest))
	case "accept":
		listener, err := net.FileListener(o.held)
		if err != nil {
			return "", err
		}
		conn, err := listener.Accept()
		_ = listener.Close()
		if err != nil {
			return "", err
		}
		file, err := conn.(*net.TCPConn).File()
		_ = conn.Close()
		_, err = o.hold(file, err)
		return "ok", err
	case "socket":
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			return "", err
		}
		_, err = o.hold(os.NewFile(uintptr(fd), "socket"), nil)
		return "ok", err
	case "close":
		err = o.held.Close()
		o.held = nil
	case "receiver":
		o.receiver, err = o.endpoint.NewReceiver()
	case "close-receiver":
		err = o.receiver.Close()
	case "receive":
		parcel, err := o.receiver.Receive(ctx)
		if err != nil {
			return "", err
		}
		text, err := o.hold(parcel.File())
		return text + " " + string(parcel.Bytes), err
	case "hand-off":
		target, text, _ := strings.Cut(rest, " ")
		pid, err := strconv.Atoi(target)
		if err != nil {
			return "", err
		}
		sender, err := o.endpoint.NewSender(PID(pid))
		if err != nil {
			return "", err
		}
		o.senders = append(o.senders, sender)
		err = sender.HandOff(o.held, []byte(text))
		return "ok", err
	case "descriptors":
		return strconv.Itoa(openDescriptors()), nil
	default:
		err = fmt.Errorf("unknown command %q", verb)
	}
	return "ok", err
}

func openDescriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries) - 1
}

type peerProcess struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	answers chan string
}

// peerKinds are the programs that peers run. Without the one of the Rust library, whoever runs all is told.
func peerKinds(t *testing.T, try func(t *testing.T, start func(domain string, environment ...string) *peerProcess)) {
	kinds := map[string][]string{"go": {os.Args[0]}, "rust": {os.Getenv(rustVariable)}}
	for kind, program := range kinds {
		t.Run(kind, func(t *testing.T) {
			if program[0] == "" {
				t.Skipf("%s does not name the program of the Rust library's tests: see bindings/go/test", rustVariable)
			}
			try(t, func(domain string, environment ...string) *peerProcess {
				environment = append(environment, domainVariable+"="+domain)
				if kind == "go" {
					return startPeer(t, append(environment, goVariable+"=1"), program[0])
				}
				return startPeer(t, environment, program[0], "--exact", os.Getenv(rustTestVariable), "--nocapture")
			})
		})
	}
}

func startPeer(t *testing.T, environment []string, program string, arguments ...string) *peerProcess {
	t.Helper()
	return startCommand(t, exec.Command(program, arguments...), environment...)
}

func startCommand(t *testing.T, command *exec.Cmd, environment ...string) *peerProcess {
	t.Helper()
	p := &peerProcess{t: t, command: command, answers: make(chan string, 16)}
	p.command.Env = append(os.Environ(), environment...)
	p.command.Stderr = os.Stderr
	var err error
	p.stdin, err = p.command.StdinPipe()
	must(t, err)
	stdout, err := p.command.StdoutPipe()
	must(t, err)
	must(t, p.command.Start())
	go func() {
		defer close(p.answers)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if _, answer, found := strings.Cut(lines.Text(), answerMark); found {
				p.answers <- answer
			}
		}
	}()
	t.Cleanup(p.kill)
	if answer := p.hear("its start"); answer != "ready" {
		t.Fatalf("the peer says %q", answer)
	}
	return p
}

func (p *peerProcess) pid() int { return p.command.Process.Pid }

func (p *peerProcess) say(command string) {
	if _, err := io.WriteString(p.stdin, command+"\n"); err != nil {
		p.t.Errorf("the peer cannot be told %q: %v", command, err)
	}
}

func (p *peerProcess) hear(awaited string) string {
	p.t.Helper()
	select {
	case answer, open := <-p.answers:
		if !open {
			p.t.Fatalf("the peer ended before it answered %q", awaited)
		}
		return answer
	case <-time.After(patience):
		p.t.Fatalf("the peer has not answered %q within %v", awaited, patience)
		return ""
	}
}

func (p *peerProcess) ask(command string) string {
	p.t.Helper()
	p.say(command)
	return p.hear(command)
}

// must has a peer obey, and returns what follows "ok".
func (p *peerProcess) must(command string) string {
	p.t.Helper()
	answer := p.ask(command)
	rest, found := strings.CutPrefix(answer, "ok")
	if !found {
		p.t.Fatalf("%.60s: %s", command, answer)
	}
	return strings.TrimPrefix(rest, " ")
}

// stop stops all threads of a peer.
func (p *peerProcess) stop() {
	p.t.Helper()
	must(p.t, p.command.Process.Signal(syscall.SIGSTOP))
	eventually(p.t, "all threads of the peer are stopped", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid()))
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err == nil && !strings.Contains(string(stat), ") T ") {
				return false
			}
		}
		return err == nil && len(threads) > 0
	})
}

func (p *peerProcess) goOn() { must(p.t, p.command.Process.Signal(syscall.SIGCONT)) }

// kill kills a peer, and waits until it has ended.
func (p *peerProcess) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t *testing.T, err error, kind error) {
	t.Helper()
	if !isKind(err, kind) {
		t.Fatalf("%v, not %v", err, kind)
	}
}

// newEndpoint opens an endpoint in a domain of its own.
func newEndpoint(t *testing.T) *Endpoint {
	t.Helper()
	e, err := Open(newDomain(t))
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func newDomain(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "domain")
	must(t, os.Mkdir(path, 0o700))
	return path
}

// pair is a TCP connection: the client's end, and the one to be shared.
func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	accepted, err := listener.Accept()
	must(t, err)
	client, server = conn.(*net.TCPConn), accepted.(*net.TCPConn)
	must(t, client.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

func expect(t *testing.T, conn io.Reader, text string) {
	t.Helper()
	read := make([]byte, len(text))
	if _, err := io.ReadFull(conn, read); err != nil || string(read) != text {
		t.Fatalf("%q, %v, not %q", read, err, text)
	}
}

func expectEnd(t *testing.T, conn io.Reader) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("%d bytes, %v, not the end", n, err)
	}
}

// eventually waits until a thing is so.
func eventually(t *testing.T, awaited string, is func() bool) {
	t.Helper()
	for started := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(started) > patience {
			t.Fatalf("not within %v: %s", patience, awaited)
		}
	}
}
