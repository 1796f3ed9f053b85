import asyncio
import os
import pickle
import socket
import ssl
import sys
import unittest

import sharesock

from .peer import PATIENCE, Peer, PeerTest, cookie, eventually, open_descriptors


class Share(PeerTest):
    def test_a_connection_goes_to_every_peer_and_outlives_its_source(self):
        for kind in self.kinds():
            peer = self.start(kind)
            client, accepted = self.connection()
            identity = cookie(accepted)
            info = sharesock.share(accepted, peer.pid)
            self.assertEqual(len(info), 628)
            accepted.close()
            self.assertEqual(int(peer.must("redeem " + sharesock.info_text(info))), identity)
            peer.must("send from there")
            self.assertEqual(client.recv(10, socket.MSG_WAITALL), b"from there")
            peer.kill()
            self.assertEqual(client.recv(1), b"")

    def test_a_listener_comes_from_every_peer(self):
        for kind in self.kinds():
            peer = self.start(kind)
            listener = self.listener()
            peer.must("redeem " + sharesock.info_text(sharesock.share(listener, peer.pid)))
            info = sharesock.info_parse(peer.must(f"duplicate {os.getpid()}"))
            back = self.closing(sharesock.fromshare(info, blocking=True))
            self.assertEqual(cookie(back), cookie(listener))
            listener.close()
            peer.kill()
            client = self.closing(socket.create_connection(back.getsockname(), timeout=PATIENCE))
            back.accept()[0].close()
            self.assertEqual(client.recv(1), b"")

    def test_a_target_without_endpoint_claims_what_is_held(self):
        for kind in self.kinds():
            peer = self.start(kind, later=True)
            client, accepted = self.connection()
            info = sharesock.share(accepted, peer.pid)
            accepted.close()
            with self.assertRaises(sharesock.ShareTimeout) as caught:
                sharesock.flush(0)
            self.assertEqual(caught.exception.name, "STILL_HELD")
            self.assertIsInstance(caught.exception, TimeoutError)
            peer.must("open")
            peer.must("redeem " + sharesock.info_text(info))
            sharesock.flush(PATIENCE)
            peer.must("send x")
            self.assertEqual(client.recv(1), b"x")

    def test_what_a_killed_target_did_not_redeem_is_closed(self):
        peer = self.start()
        client, accepted = self.connection()
        sharesock.share(accepted, peer.pid)
        accepted.close()
        peer.kill()
        self.assertEqual(client.recv(1), b"")

    def test_each_refusal_has_its_name(self):
        peer = self.start()
        _, accepted = self.connection()

        def refused(name, info):
            with self.assertRaises(sharesock.ShareError) as caught:
                sharesock.fromshare(info)
            self.assertEqual(caught.exception.name, name)
            self.assertIsNone(caught.exception.errno)

        once = sharesock.share(accepted, os.getpid())
        sharesock.fromshare(once).close()
        refused("ALREADY_REDEEMED", once)
        refused("WRONG_PROCESS", sharesock.share(accepted, peer.pid))
        refused("EXPIRED", sharesock.share(accepted, os.getpid(), expires=0))
        info, revocation = sharesock.revocable(accepted, os.getpid())
        revocation.revoke()
        refused("REVOKED", info)
        revocation.close()
        with self.assertRaises(ValueError):
            revocation.revoke()
        for bad in b"", b"foo", once[:-1], once + b"x", bytes(628):
            with self.assertRaises(ValueError) as caught:
                sharesock.fromshare(bad)
            self.assertEqual(caught.exception.name, "BAD_INFO")

    def test_a_revocation_that_comes_late_says_so(self):
        _, accepted = self.connection()
        info, revocation = sharesock.revocable(accepted, os.getpid())
        self.closing(revocation)
        sharesock.fromshare(info).close()
        with self.assertRaises(sharesock.ShareError) as caught:
            revocation.revoke()
        self.assertEqual(caught.exception.name, "ALREADY_REDEEMED")

    def test_errors_of_the_system_are_those_of_python(self):
        peer = self.start()
        peer.kill()
        _, accepted = self.connection()
        with self.assertRaises(ProcessLookupError):
            sharesock.share(accepted, peer.pid)
        with open(os.devnull) as file, self.assertRaises(OSError) as caught:
            sharesock.share(file, os.getpid())
        self.assertIn("not a socket", str(caught.exception))
        for wrong in 0, -1, 2**32:
            with self.assertRaises(ValueError):
                sharesock.share(accepted, wrong)
        for wrong in 1.5, None, True:
            with self.assertRaises(TypeError):
                sharesock.share(accepted, wrong)
        for wrong in -1, float("nan"):
            with self.assertRaises(ValueError):
                sharesock.share(accepted, os.getpid(), expires=wrong)
        accepted.close()
        with self.assertRaises(ValueError):
            sharesock.share(accepted, os.getpid())

    def test_errors_cross_processes(self):
        error = pickle.loads(pickle.dumps(sharesock.InfoError("text", "BAD_INFO", -1008)))
        self.assertEqual((type(error), str(error), error.name, error.code), (sharesock.InfoError, "text", "BAD_INFO", -1008))

    def test_a_tls_socket_is_refused(self):
        _, accepted = self.connection()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as wrapped:
            with self.assertRaises(TypeError):
                sharesock.share(wrapped, os.getpid())

    def test_the_mode_is_the_common_one_and_stays_so(self):
        _, accepted = self.connection()
        self.addCleanup(socket.setdefaulttimeout, None)
        for default in None, 5.0:
            for blocking in True, False:
                socket.setdefaulttimeout(None)
                accepted.setblocking(blocking)
                socket.setdefaulttimeout(default)
                with sharesock.fromshare(sharesock.share(accepted, os.getpid())) as redeemed:
                    self.assertEqual(redeemed.gettimeout(), None if blocking else 0.0)
                    self.assertEqual(os.get_blocking(accepted.fileno()), blocking)
                with sharesock.fromshare(sharesock.share(accepted, os.getpid()), blocking=not blocking) as redeemed:
                    self.assertEqual(redeemed.gettimeout(), 0.0 if blocking else None)
                    self.assertEqual(os.get_blocking(accepted.fileno()), not blocking)

    def test_a_udp_socket_keeps_its_kind(self):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as source:
            with sharesock.fromshare(sharesock.share(source, os.getpid())) as redeemed:
                self.assertEqual((redeemed.family, redeemed.type), (socket.AF_INET6, socket.SOCK_DGRAM))

    def test_discarding_closes_the_duplicate(self):
        client, accepted = self.connection()
        info = sharesock.share(accepted, os.getpid())
        accepted.close()
        sharesock.discard(info)
        self.assertEqual(client.recv(1), b"")

    def test_holders_are_listed(self):
        peer = self.start()
        _, accepted = self.connection()
        peer.must("redeem " + sharesock.info_text(sharesock.share(accepted, peer.pid)))
        self.assertEqual({one.pid for one in sharesock.holders(accepted)}, {os.getpid(), peer.pid})
        mine = [one.descriptor for one in sharesock.holders(accepted) if one.pid == os.getpid()]
        self.assertEqual(mine, [accepted.fileno()])
        more = self.closing(*[accepted.dup() for _ in range(40)])
        self.assertEqual(len(sharesock.holders(accepted)), 2 + len(more))

    def test_nothing_is_left_open(self):
        peer = self.start()
        client, accepted = self.connection()
        sharesock.fromshare(sharesock.share(accepted, os.getpid())).close()
        peer.must("redeem " + sharesock.info_text(sharesock.share(accepted, peer.pid)))
        peer.must("close")
        before = open_descriptors(), open_descriptors(peer.pid)
        for _ in range(50):
            sharesock.fromshare(sharesock.share(accepted, os.getpid())).close()
            peer.must("redeem " + sharesock.info_text(sharesock.share(accepted, peer.pid)))
            peer.must("close")
        # What the library's own thread has in its hands for a moment is not meant.
        eventually("no more descriptors than before", lambda: open_descriptors() <= before[0])
        eventually("no more there", lambda: open_descriptors(peer.pid) <= before[1])
        accepted.close()
        self.assertEqual(client.recv(1), b"")


class Async(PeerTest):
    def test_a_held_duplicate_is_awaited_without_stopping_the_loop(self):
        source = self.start()
        peer_socket, mine = self.connection()
        source.must("redeem " + sharesock.info_text(sharesock.share(mine, source.pid)))
        identity = cookie(mine)
        mine.close()

        # A process that has no endpoint yet redeems in its own event loop.
        script = (
            "import asyncio, sharesock, sys\n"
            "from tests.peer import ANSWER, cookie\n"
            "print(ANSWER + 'ready', flush=True)\n"
            "info = sharesock.info_parse(sys.stdin.readline())\n"
            "async def main():\n"
            "    ticks = 0\n"
            "    async def tick():\n"
            "        nonlocal ticks\n"
            "        while True:\n"
            "            ticks += 1\n"
            "            await asyncio.sleep(0)\n"
            "    ticking = asyncio.create_task(tick())\n"
            "    sock = await sharesock.afromshare(info)\n"
            "    ticking.cancel()\n"
            "    print(f'{ANSWER}{cookie(sock)} {ticks > 1}', flush=True)\n"
            "    sys.stdin.readline()\n"
            "asyncio.run(main())\n"
        )
        target = Peer([sys.executable, "-c", script])
        self.addCleanup(target.close)
        info = source.must(f"duplicate {target.pid}")
        self.assertEqual(target.ask(info), f"{identity} True")
        source.must("flush 60")
        source.must("close")
        target.kill()
        self.assertEqual(peer_socket.recv(1), b"")

    def test_a_cancelled_redemption_leaves_the_info_good(self):
        source = self.start()
        _, mine = self.connection()
        source.must("redeem " + sharesock.info_text(sharesock.share(mine, source.pid)))

        async def cancel_and_redeem():
            info = sharesock.info_parse(source.must(f"duplicate {os.getpid()}"))
            task = asyncio.ensure_future(sharesock.afromshare(info))
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            return await sharesock.afromshare(info)

        redeemed = self.closing(asyncio.run(cancel_and_redeem()))
        self.assertEqual(cookie(redeemed), cookie(mine))

    def test_what_is_refused_is_told(self):
        with self.assertRaises(ValueError):
            asyncio.run(sharesock.afromshare(b"nothing"))


if __name__ == "__main__":
    unittest.main()
