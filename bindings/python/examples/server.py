"""A front and its workers: the front accepts, and hands each connection off to one of the workers, in turn.

Each worker is an asyncio server that receives connections instead of listening. A worker that is killed loses what it was
serving; what it had not taken goes to its successor.

    python examples/server.py --listen 127.0.0.1:8080 --workers 2
"""

import argparse
import asyncio
import os
import select
import socket
import subprocess
import sys
from typing import List, Tuple

import sharesock


async def work() -> None:
    receiver = sharesock.Receiver()
    print("ready", flush=True)
    async for parcel in receiver:
        asyncio.ensure_future(serve(parcel.socket, parcel.data))


async def serve(connection: socket.socket, head: bytes) -> None:
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection)
    while b"\r\n\r\n" not in head:
        more = await reader.read(4096)
        if not more:
            break
        head += more
    body = b"served by process %d\n" % os.getpid()
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    writer.close()


class Worker:
    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, __file__, "--worker"], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            raise SystemExit("a worker did not start")
        self.sender = sharesock.Sender(self.process.pid)


def front(address: str, count: int) -> None:
    host, _, port = address.rpartition(":")
    workers = [Worker() for _ in range(count)]
    with socket.create_server((host, int(port))) as listener:
        print("listening at http://%s:%d/" % listener.getsockname()[:2], flush=True)
        pending: List[Tuple[socket.socket, bytes]] = []
        turn = 0
        while True:
            # A sender is readable when its worker has ended.
            readable, _, _ = select.select([listener, *(worker.sender for worker in workers)], [], [])
            if listener in readable:
                pending.append((listener.accept()[0], b""))
            for number, worker in enumerate(workers):
                if worker.sender in readable:
                    pending += [(parcel.socket, parcel.data) for parcel in worker.sender.reclaim()]
                    worker.process.wait()
                    workers[number] = Worker()
            while pending:
                turn = (turn + 1) % count
                try:
                    workers[turn].sender.hand_off(*pending[0])
                except BrokenPipeError:
                    break  # It has ended just now, as select() tells next.
                pending.pop(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:8080", help="address to accept connections at")
    parser.add_argument("--workers", type=int, default=2, help="number of worker processes")
    parser.add_argument("--worker", action="store_true", help="serve what is handed off (the front starts workers so)")
    options = parser.parse_args()
    if options.worker:
        asyncio.run(work())
    else:
        front(options.listen, options.workers)
