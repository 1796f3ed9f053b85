import os
import signal
import subprocess
import sys
import unittest
import urllib.request

from .peer import PATIENCE, PeerTest, eventually

_SERVER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples", "server.py")


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return ") Z " in stat.read()
    except FileNotFoundError:
        return True


class Server(PeerTest):
    def test_a_killed_worker_is_replaced(self):
        front = subprocess.Popen(
            [sys.executable, _SERVER, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.addCleanup(front.stdout.close)
        self.addCleanup(front.wait, PATIENCE)
        self.addCleanup(os.killpg, front.pid, signal.SIGKILL)
        url = front.stdout.readline().split()[-1]

        def served_by():
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return int(answer.read().split()[-1])

        first = {served_by() for _ in range(4)}
        self.assertEqual(len(first), 2)
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        eventually("the worker has ended", lambda: has_ended(victim))
        second = {served_by() for _ in range(4)}
        self.assertEqual(len(second), 2)
        self.assertEqual(second & first, first - {victim})


if __name__ == "__main__":
    unittest.main()
