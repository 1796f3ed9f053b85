"""Offers; sockets that `multiprocessing` pickles; and what the interpreter's own tests say."""

import importlib.util
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import unittest

import sharesock

from .peer import PATIENCE, PeerTest, cookie


def serve(connection, ready):
    """Runs in a child of each way of starting one."""
    ready.send((cookie(connection), connection.gettimeout()))
    connection.sendall(b"from a child")


def give(pipe, port):
    """Pickles a socket for its parent, and ends when it is told."""
    sharesock.install()
    connection = socket.create_connection(("127.0.0.1", port))
    pipe.send(connection)
    connection.close()
    pipe.recv()


class Offer(PeerTest):
    def test_the_first_to_redeem_has_it(self):
        client, accepted = self.connection()
        info = sharesock.offer(accepted)
        identity = cookie(accepted)
        peer = self.start()
        self.assertEqual(int(peer.must("redeem " + sharesock.info_text(info))), identity)
        late = self.start()
        self.assertTrue(late.ask("redeem " + sharesock.info_text(info)).startswith("error ALREADY_REDEEMED"))
        accepted.close()
        peer.kill()
        self.assertEqual(client.recv(1), b"")

    def test_what_has_no_end_or_no_keeper_is_refused(self):
        _, accepted = self.connection()
        with self.assertRaises(ValueError):
            sharesock.offer(accepted, expires=None)
        with self.assertRaises(FileNotFoundError):
            sharesock.offer(accepted, kept=True)

    def test_it_expires(self):
        _, accepted = self.connection()
        with self.assertRaises(sharesock.ShareError) as caught:
            sharesock.fromshare(sharesock.offer(accepted, expires=0))
        self.assertEqual(caught.exception.name, "EXPIRED")


class Pickled(PeerTest):
    def setUp(self):
        sharesock.install()

    def test_a_socket_goes_to_a_child_and_outlives_the_descriptor_of_its_source(self):
        for method in "fork", "spawn", "forkserver":
            for timeout in None, 30.0, 0.0:
                with self.subTest(method=method, timeout=timeout):
                    context = multiprocessing.get_context(method)
                    client, accepted = self.connection()
                    accepted.settimeout(timeout)
                    identity = cookie(accepted)
                    ready, theirs = self.closing(*context.Pipe())
                    requests, requested = self.closing(*context.Pipe())
                    child = context.Process(target=_take, args=(requested, theirs))
                    child.start()
                    self.closing(child)
                    self.addCleanup(child.kill)
                    # Not by args, which a fork inherits and does not pickle.
                    requests.send(accepted)
                    accepted.close()
                    self.assertTrue(ready.poll(PATIENCE), "the child has not answered")
                    self.assertEqual(ready.recv(), (identity, timeout))
                    self.assertEqual(client.recv(12, socket.MSG_WAITALL), b"from a child")
                    child.join(PATIENCE)
                    self.assertEqual(child.exitcode, 0)
                    self.assertEqual(client.recv(1), b"")

    def test_an_argument_is_pickled_for_a_child_that_is_not_there_yet(self):
        context = multiprocessing.get_context("spawn")
        client, accepted = self.connection()
        ready, theirs = self.closing(*context.Pipe())
        child = context.Process(target=serve, args=(accepted, theirs))
        child.start()
        self.closing(child)
        accepted.close()
        self.assertEqual(client.recv(12, socket.MSG_WAITALL), b"from a child")
        child.join(PATIENCE)

    def test_with_a_keeper_it_survives_its_source(self):
        program = os.environ.get("SHARESOCK_PROGRAM")
        if program is None:
            self.skipTest("no program: run bindings/python/test")
        keeper = subprocess.Popen([program, "keep"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(keeper.stdout.close)
        self.addCleanup(keeper.wait, PATIENCE)
        self.addCleanup(keeper.kill)
        # It says which process it is when it keeps what comes.
        self.assertTrue(keeper.stdout.readline().startswith(f"{keeper.pid}:"))
        listener = self.listener()
        context = multiprocessing.get_context("spawn")
        pipe, theirs = self.closing(*context.Pipe())
        child = context.Process(target=give, args=(theirs, listener.getsockname()[1]))
        child.start()
        self.closing(child)
        accepted, _ = listener.accept()
        self.closing(accepted)
        self.assertTrue(pipe.poll(PATIENCE), "the child has not answered")
        pickled = pipe.recv_bytes()
        child.kill()
        child.join(PATIENCE)
        with pickle.loads(pickled) as connection:
            connection.sendall(b"still there")
        self.assertEqual(accepted.recv(11, socket.MSG_WAITALL), b"still there")


def _take(requested, ready):
    with requested.recv() as connection:
        serve(connection, ready)


class OfPython(unittest.TestCase):
    """What CPython tries on Windows, unchanged."""

    def test_the_interpreters_own_tests_pass(self):
        script = (
            "import os, sys, unittest, multiprocessing, socket, sharesock\n"
            "if __name__ == '__main__':\n"
            "    multiprocessing.set_start_method('fork')\n"
            "    sharesock.install()\n"
            # They are skipped elsewhere.
            "    skip, unittest.skipUnless = unittest.skipUnless, lambda holds, why: (\n"
            "        (lambda kept: kept) if why == 'Windows specific' else skip(holds, why))\n"
            "    from test.test_socket import TestSocketSharing\n"
            "    suite = unittest.defaultTestLoader.loadTestsFromTestCase(TestSocketSharing)\n"
            "    ended = unittest.TextTestRunner(verbosity=2).run(suite)\n"
            "    sys.exit(not ended.wasSuccessful() or bool(ended.skipped) or ended.testsRun < 4)\n"
        )
        if importlib.util.find_spec("test.test_socket") is None:
            self.skipTest("this interpreter has no tests")
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("testShare ", ended.stderr)


if __name__ == "__main__":
    unittest.main()
