"""Peers: processes that obey commands, one a line. Those of the Rust library's tests and of the Go module know the same ones."""

import contextlib
import os
import queue
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

ANSWER = "peer> "
# A deadline bounds hangs, and nothing else: the machine may be busy.
PATIENCE = 60.0
_SO_COOKIE = 57
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cookie(sock):
    """The kernel's own number of the underlying socket."""
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8), sys.byteorder)


def open_descriptors(pid="self"):
    return len(os.listdir(f"/proc/{pid}/fd")) - (pid == "self")


def eventually(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        time.sleep(0.01)


class Peer:
    """A peer that was started, from the side of the test."""

    def __init__(self, command, **environment):
        self._answers = queue.Queue()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env={**os.environ, **environment}
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.pid = self.process.pid
        answer = self.hear("its start")
        assert answer == "ready", answer

    def _read(self):
        for line in self.process.stdout:
            _, mark, answer = line.partition(ANSWER)
            if mark:
                self._answers.put(answer.rstrip("\n"))
        self._answers.put(None)

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def hear(self, awaited):
        try:
            answer = self._answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"the peer has not answered {awaited!r} within {PATIENCE} s") from None
        assert answer is not None, f"the peer ended before it answered {awaited!r}"
        return answer

    def has_answered(self):
        return not self._answers.empty()

    def ask(self, command):
        self.say(command)
        return self.hear(command)

    def must(self, command):
        """Has it obey, and returns what follows "ok"."""
        answer = self.ask(command)
        assert answer.startswith("ok"), f"{command[:60]}: {answer}"
        return answer[2:].strip()

    def stop(self):
        """Stops all of its threads."""
        self.process.send_signal(signal.SIGSTOP)

        def is_stopped():
            for thread in os.listdir(f"/proc/{self.pid}/task"):
                with open(f"/proc/{self.pid}/task/{thread}/stat") as stat:
                    if ") T " not in stat.read():
                        return False
            return True

        eventually("all threads of the peer are stopped", is_stopped)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


def commands():
    """The command of each kind of peer, and its environment."""
    rust, go = os.environ.get("SHARESOCK_RUST_PEER"), os.environ.get("SHARESOCK_GO_PEER")
    return {
        "python": ([sys.executable, "-m", "tests.peer"], {}),
        "rust": (shlex.split(rust) if rust else None, {}),
        "go": ([go] if go else None, {"SHARESOCK_TEST_PEER_GO": "1"}),
    }


class PeerTest(unittest.TestCase):
    def start(self, kind="python", later=False):
        command, environment = commands()[kind]
        peer = Peer(command, **environment, **({"SHARESOCK_TEST_PEER_LATER": "1"} if later else {}))
        self.addCleanup(peer.close)
        return peer

    def kinds(self):
        """Each kind of peer that was built, as a sub-test; skips are counted."""
        for kind, (command, _) in commands().items():
            with self.subTest(peer=kind):
                if command is None:
                    self.skipTest(f"no peer in {kind}: run bindings/python/test")
                yield kind

    def closing(self, *things):
        for thing in things:
            self.addCleanup(thing.close)
        return things[0] if len(things) == 1 else things

    def listener(self):
        return self.closing(socket.create_server(("127.0.0.1", 0)))

    def connection(self):
        """The client's end, and the one to be shared."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
            accepted, _ = listener.accept()
        return self.closing(client, accepted)


class _Obedient:
    def __init__(self):
        self.held = None
        self.receiver = None
        self.senders = []

    def hold(self, sock):
        self.held = sock
        return f"ok {cookie(sock)}"

    def obey(self, verb, rest):
        import sharesock

        if verb == "open":
            sharesock.open()
        elif verb == "redeem":
            return self.hold(sharesock.fromshare(sharesock.info_parse(rest), timeout=PATIENCE))
        elif verb == "discard":
            sharesock.discard(sharesock.info_parse(rest))
        elif verb == "duplicate":
            return "ok " + sharesock.info_text(sharesock.share(self.held, int(rest)))
        elif verb == "flush":
            sharesock.flush(float(rest))
        elif verb == "send":
            self.held.sendall(rest.encode())
        elif verb == "accept":
            self.held, _ = self.held.accept()
        elif verb == "socket":
            self.held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        elif verb == "close":
            self.held.close()
            self.held = None
        elif verb == "receiver":
            self.receiver = sharesock.Receiver()
        elif verb == "close-receiver":
            self.receiver.close()
        elif verb == "receive":
            parcel = self.receiver.receive(PATIENCE)
            return f"{self.hold(parcel.socket)} {parcel.data.decode()}"
        elif verb == "hand-off":
            pid, _, text = rest.partition(" ")
            sender = sharesock.Sender(int(pid))
            self.senders.append(sender)
            sender.hand_off(self.held, text.encode())
        elif verb == "descriptors":
            return str(open_descriptors())
        else:
            raise ValueError(f"unknown command {verb!r}")
        return "ok"


def _main():
    obedient = _Obedient()

    def answer(verb, rest=""):
        try:
            text = obedient.obey(verb, rest)
        except Exception as error:
            text = f"error {getattr(error, 'name', '')} {error}".replace("\n", " ")
        print(ANSWER + text, flush=True)

    if "SHARESOCK_TEST_PEER_LATER" not in os.environ:
        obedient.obey("open", "")
    print(ANSWER + "ready", flush=True)
    for line in sys.stdin:
        verb, _, rest = line.rstrip("\n").partition(" ")
        answer(verb, rest)


if __name__ == "__main__":
    _main()
