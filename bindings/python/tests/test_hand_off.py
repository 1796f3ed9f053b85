import asyncio
import os
import socket
import ssl
import threading
import unittest

import sharesock

from .peer import PATIENCE, PeerTest, cookie, eventually


class HandOff(PeerTest):
    def test_a_connection_goes_to_every_peer_with_unread_input(self):
        for kind in self.kinds():
            peer = self.start(kind)
            peer.must("receiver")
            client, accepted = self.connection()
            identity = cookie(accepted)
            sender = self.closing(sharesock.Sender(peer.pid))
            sender.hand_off(accepted, b"GET / HTTP/1.1")
            self.assertEqual(accepted.fileno(), -1)
            self.assertEqual(peer.must("receive"), f"{identity} GET / HTTP/1.1")
            sender.flush(PATIENCE)
            self.assertEqual(sender.outstanding(), 0)
            peer.must("send there")
            self.assertEqual(client.recv(5, socket.MSG_WAITALL), b"there")
            peer.kill()
            self.assertEqual(client.recv(1), b"")

    def test_a_connection_comes_from_every_peer(self):
        receiver = self.closing(sharesock.Receiver())
        for kind in self.kinds():
            peer = self.start(kind)
            client, accepted = self.connection()
            identity = cookie(accepted)
            peer.must("redeem " + sharesock.info_text(sharesock.share(accepted, peer.pid)))
            accepted.close()
            peer.must(f"hand-off {os.getpid()} unread")
            # Its sender may be gone by then.
            peer.kill()
            parcel = receiver.receive(PATIENCE)
            self.closing(parcel.socket)
            self.assertEqual((cookie(parcel.socket), parcel.data), (identity, b"unread"))
            parcel.socket.setblocking(True)
            parcel.socket.sendall(b"here")
            self.assertEqual(client.recv(4, socket.MSG_WAITALL), b"here")

    def test_the_source_is_told(self):
        receiver = self.closing(sharesock.Receiver())
        _, accepted = self.connection()
        with sharesock.Sender(sharesock.process()) as sender:
            sender.hand_off(accepted)
            parcel = receiver.receive(PATIENCE)
            parcel.socket.close()
            self.assertEqual(parcel.source, sharesock.process())

    def test_what_a_killed_target_did_not_take_comes_back_and_goes_to_another(self):
        for kind in self.kinds():
            doomed, heir = self.start(kind), self.start()
            doomed.must("receiver")
            heir.must("receiver")
            sender = self.closing(sharesock.Sender(doomed.pid))
            clients, identities = [], []
            for number in range(3):
                client, accepted = self.connection()
                clients.append(client)
                identities.append(cookie(accepted))
                sender.hand_off(accepted, b"unread %d" % number)
            doomed.must("receive")
            doomed.kill()
            # The first was its own, and ends with it.
            self.assertEqual(clients[0].recv(1), b"")
            _, refused = self.connection()
            with self.assertRaises(BrokenPipeError):
                sender.hand_off(refused)
            self.assertGreaterEqual(refused.fileno(), 0)
            reclaimed = sender.reclaim()
            self.assertEqual(
                [(cookie(one.socket), one.data) for one in reclaimed],
                [(identities[1], b"unread 1"), (identities[2], b"unread 2")],
            )
            self.assertEqual(sender.reclaim(), [])
            other = self.closing(sharesock.Sender(heir.pid))
            for one in reclaimed:
                other.hand_off(one.socket, one.data)
            self.assertEqual(heir.must("receive"), f"{identities[1]} unread 1")

    def test_a_socket_that_was_not_taken_is_the_callers(self):
        receiver = self.closing(sharesock.Receiver())
        _, accepted = self.connection()
        with sharesock.Sender(os.getpid()) as sender:
            with self.assertRaises(OSError):
                sender.hand_off(accepted, bytes(65537))
            self.assertGreaterEqual(accepted.fileno(), 0)
            with self.assertRaises(TypeError):
                sender.hand_off(accepted.fileno())
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            wrapped = self.closing(context.wrap_socket(accepted, do_handshake_on_connect=False))
            with self.assertRaises(TypeError):
                sender.hand_off(wrapped)
            self.assertGreaterEqual(wrapped.fileno(), 0)
            _, whole = self.connection()
            sender.hand_off(whole, bytearray(65536))
            parcel = receiver.receive(PATIENCE)
            parcel.socket.close()
            self.assertEqual(len(parcel.data), 65536)

    def test_without_room_the_caller_is_told(self):
        receiver = self.closing(sharesock.Receiver())
        sender = self.closing(sharesock.Sender(os.getpid()))
        with self.assertRaises(BlockingIOError):
            for _ in range(100_000):
                last, other = socket.socketpair()
                other.close()
                sender.hand_off(last, timeout=0)
        self.assertGreaterEqual(last.fileno(), 0)
        with self.assertRaises(TimeoutError):
            sender.hand_off(last, timeout=0.01)
        last.close()
        self.assertGreater(sender.outstanding(), 0)
        while sender.outstanding():
            receiver.receive(PATIENCE).socket.close()

    def test_nobody_receives(self):
        peer = self.start()
        with self.assertRaises(sharesock.ShareError) as caught:
            sharesock.Sender(peer.pid)
        self.assertEqual(caught.exception.name, "NO_ENDPOINT")

    def test_receivers_have_names(self):
        one, two = self.closing(sharesock.Receiver("one"), sharesock.Receiver("two"))
        for name in "two", "one":
            _, accepted = self.connection()
            self.closing(sharesock.Sender(os.getpid(), name)).hand_off(accepted, name.encode())
        for receiver, name in (one, b"one"), (two, b"two"):
            parcel = receiver.receive(PATIENCE)
            parcel.socket.close()
            self.assertEqual(parcel.data, name)
        with self.assertRaises(sharesock.ShareError) as caught:
            sharesock.Receiver("one")
        self.assertEqual(caught.exception.name, "RECEIVER_OPEN")


class Receive(PeerTest):
    def setUp(self):
        self.receiver = self.closing(sharesock.Receiver())
        self.sender = self.closing(sharesock.Sender(os.getpid()))

    def hand_off(self, *texts):
        for text in texts:
            _, accepted = self.connection()
            self.sender.hand_off(accepted, text)

    def test_nothing_in_time(self):
        with self.assertRaises(BlockingIOError):
            self.receiver.receive(0)
        with self.assertRaises(TimeoutError):
            self.receiver.receive(0.01)
        for wrong in -1, float("nan"):
            with self.assertRaises(ValueError):
                self.receiver.receive(wrong)

    def test_another_thread_ends_an_iteration(self):
        texts = []

        def serve():
            for parcel in self.receiver:
                parcel.socket.close()
                texts.append(parcel.data)

        thread = threading.Thread(target=serve)
        thread.start()
        self.hand_off(b"one", b"two")
        eventually("both were taken", lambda: len(texts) == 2)
        self.receiver.close()
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive(), "the iteration ends when the receiver is closed")
        self.assertEqual(texts, [b"one", b"two"])
        with self.assertRaises(ValueError):
            self.receiver.receive()

    def test_an_event_loop_iterates(self):
        async def main():
            texts = []
            waiting = asyncio.Event()

            async def serve():
                waiting.set()
                async for parcel in self.receiver:
                    parcel.socket.close()
                    texts.append(parcel.data)
                    if len(texts) == 2:
                        both.set()

            both = asyncio.Event()
            task = asyncio.ensure_future(serve())
            await waiting.wait()
            with self.assertRaises(RuntimeError):
                await self.receiver.areceive()
            self.hand_off(b"one", b"two")
            await asyncio.wait_for(both.wait(), PATIENCE)
            self.receiver.close()
            await asyncio.wait_for(task, PATIENCE)
            return texts

        self.assertEqual(asyncio.run(main()), [b"one", b"two"])

    def test_a_cancelled_wait_loses_nothing(self):
        async def main():
            task = asyncio.ensure_future(self.receiver.areceive())
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.hand_off(b"kept")
            return await asyncio.wait_for(self.receiver.areceive(), PATIENCE)

        parcel = asyncio.run(main())
        parcel.socket.close()
        self.assertEqual(parcel.data, b"kept")


if __name__ == "__main__":
    unittest.main()
