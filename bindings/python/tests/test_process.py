"""Signals, forks, exits and what is loaded, each in a process of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import unittest

import sharesock

from .peer import PATIENCE, Peer, PeerTest, cookie, eventually

BEGIN = """
import os, signal, socket, sys, threading
import sharesock
from tests.peer import ANSWER, PATIENCE, cookie, open_descriptors
def answer(text): print(f"{ANSWER}{text}", flush=True)
answer("ready")
"""


class Process(PeerTest):
    def script(self, text, **environment):
        peer = Peer([sys.executable, "-c", BEGIN + textwrap.dedent(text)], **environment)
        self.addCleanup(peer.close)
        return peer

    def ends(self, peer):
        self.assertEqual(peer.process.wait(PATIENCE), 0)

    def test_signal_handlers_run_while_it_waits_and_it_waits_on(self):
        wait = {
            "receive": "receiver = sharesock.Receiver(); wait = receiver.receive",
            "redeem": "info = sharesock.info_parse(sys.stdin.readline()); wait = lambda: sharesock.fromshare(info, timeout=None)",
        }
        for what, prepare in wait.items():
            for raises in True, False:
                with self.subTest(waits_in=what, handler_raises=raises):
                    # A source that is stopped holds what is redeemed.
                    peer = self.script(
                        f"""
                        class Heard(Exception): pass
                        def hear(number, frame):
                            # Not by print(), in the middle of which it may be.
                            os.write(1, ANSWER.encode() + b"heard\\n")
                            if {raises} and not raised:
                                raised.append(True)
                                raise Heard
                        raised = []
                        signal.signal(signal.SIGUSR1, hear)
                        {prepare}
                        try:
                            answer("waiting")
                            answer(cookie((lambda got: getattr(got, "socket", got))(wait())))
                        except Heard:
                            answer("raised")
                        sys.stdin.read()
                        """
                    )
                    source, (_, accepted) = self.start(), self.connection()
                    if what == "redeem":
                        source.must("redeem " + sharesock.info_text(sharesock.share(accepted, source.pid)))
                        info = source.must(f"duplicate {peer.pid}")
                        source.stop()
                        self.assertEqual(peer.ask(info), "waiting")
                    else:
                        self.assertEqual(peer.hear("waiting"), "waiting")
                    identity = cookie(accepted)
                    # One that comes just before the wait begins does not end it: Python's own waits are so.
                    for _ in range(1 if raises else 3):
                        eventually("a handler ran", lambda: peer.process.send_signal(signal.SIGUSR1) or peer.has_answered())
                        self.assertEqual(peer.hear("a signal"), "heard")
                    if not raises and what == "redeem":
                        source.process.send_signal(signal.SIGCONT)
                    elif not raises:
                        sharesock.Sender(peer.pid).hand_off(accepted)
                    while (last := peer.hear("the end")) == "heard":
                        pass
                    self.assertEqual(last, "raised" if raises else str(identity))

    def test_a_forked_child_drops_what_it_inherited_and_has_its_own(self):
        client, accepted = self.connection()
        peer = self.script(
            """
            sock = sharesock.fromshare(sharesock.info_parse(sys.stdin.readline()))
            # Lies here unredeemed: a child must not keep it open.
            sharesock.share(sock, os.getpid())
            sock.close()
            receiver = sharesock.Receiver()
            child = os.fork()
            if child == 0:
                for use in receiver.receive, lambda: next(iter(receiver)):
                    try: use()
                    except sharesock.ShareError as error: answer(error.name)
                receiver.close()
                answer(os.getpid())
                sys.stdin.readline()
                sock, other = socket.socketpair()
                with sharesock.fromshare(sharesock.share(sock, os.getpid())) as redeemed:
                    answer(cookie(redeemed) == cookie(sock))
                with sharesock.Receiver() as own, sharesock.Sender(os.getpid()) as sender:
                    sender.hand_off(sock)
                    answer(own.receive(PATIENCE).source == sharesock.process())
            signal.pause()
            """
        )
        peer.say(sharesock.info_text(sharesock.share(accepted, peer.pid)))
        accepted.close()
        for awaited in "FORKED", "FORKED":
            self.assertEqual(peer.hear(awaited), awaited)
        child = int(peer.hear("the child"))
        self.addCleanup(os.kill, child, signal.SIGKILL)
        # The parent ends, and with it what lies with it, although its child goes on.
        os.kill(peer.pid, signal.SIGKILL)
        self.assertEqual(client.recv(1), b"")
        peer.say("go on")
        for awaited in "redeems", "receives":
            self.assertEqual(peer.hear(awaited), "True")

    def test_an_exit_waits_for_targets_that_claim(self):
        client, accepted = self.connection()
        target = self.start(later=True)
        source = self.script(
            f"""
            sock = sharesock.fromshare(sharesock.info_parse(sys.stdin.readline()))
            answer(sharesock.info_text(sharesock.share(sock, {target.pid})))
            """
        )
        info = source.ask(sharesock.info_text(sharesock.share(accepted, source.pid)))
        accepted.close()
        # It has come to its end, and holds the duplicate.
        target.must("open")
        target.must("redeem " + info)
        self.ends(source)
        target.must("send x")
        self.assertEqual(client.recv(1), b"x")

    def test_an_exit_is_not_held_up_by_an_endpoint_that_nobody_opened(self):
        self.ends(self.script(""))

    def test_a_source_that_is_killed_takes_what_it_holds_with_it(self):
        source, target = self.start(), self.start(later=True)
        _, accepted = self.connection()
        source.must("redeem " + sharesock.info_text(sharesock.share(accepted, source.pid)))
        info = source.must(f"duplicate {target.pid}")
        source.kill()
        target.must("open")
        self.assertTrue(target.ask("redeem " + info).startswith("error SOURCE_GONE"))

    def test_one_library_is_loaded_by_its_name(self):
        peer = self.script(
            """
            import ctypes
            again = ctypes.CDLL("libsharesock.so.0", mode=os.RTLD_NOW | os.RTLD_NOLOAD)
            with open("/proc/self/maps") as maps:
                answer(len({line.split()[-1] for line in maps if "libsharesock" in line}))
            sharesock.open()
            answer(again.sharesock_open(None))
            """
        )
        self.assertEqual((peer.hear("libraries"), peer.hear("opened")), ("1", "0"))
        self.ends(peer)

    def test_a_library_that_is_not_there_is_named(self):
        ended = subprocess.run(
            [sys.executable, "-c", "import sharesock"],
            env={**os.environ, "SHARESOCK_LIBRARY": "/nowhere/libsharesock.so.0"},
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
        self.assertEqual(ended.returncode, 1)
        self.assertIn(b"ImportError: cannot load libsharesock.so.0: /nowhere/", ended.stderr)

    def test_a_domain_is_chosen_once(self):
        os.mkdir(other := os.path.join(os.environ["SHARESOCK_DOMAIN"], "other"), 0o700)
        self.addCleanup(os.rmdir, other)
        peer = self.script(
            """
            domain = sys.stdin.readline().strip()
            sharesock.open(domain)
            sharesock.open(domain)
            sharesock.open()
            try: sharesock.open(os.path.dirname(domain))
            except sharesock.ShareError as error: answer(error.name)
            """
        )
        self.assertEqual(peer.ask(other), "ENDPOINT_OPEN")
        self.ends(peer)


if __name__ == "__main__":
    unittest.main()
