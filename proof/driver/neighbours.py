"""The same with what the servers bring along themselves: their own reload, their own upgrade."""

import os
import signal

from . import loading, tools
from .machine import BOUND, Failed, children, end_of, free_port, queued, send, stat, wait_for
from .servers import GUNICORN, PYTHON


class Neighbour:
    """A master with its workers."""

    upgrade_keeps_workers = False
    has_upgrade = True
    has_kill = True
    graceful = signal.SIGTERM
    count = 2

    def __init__(self, machine, name):
        self.machine, self.name, self.port = machine, name, free_port()
        self.folder = machine.folder / name
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.pid_file = self.folder / "pid"
        self.process = None
        self.master = None
        self.old = []

    def command(self):
        """How it is started."""
        raise NotImplementedError

    def start(self):
        """Starts it, and waits for its workers."""
        self.process = self.machine.start(self.command(), self.log, env={**os.environ, **PYTHON})
        self.master = self.process.pid
        wait_for("the workers", lambda: len(self.workers()) >= self.count or self._ended())

    def _ended(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended:\n{end_of(self.log)}")
        return False

    def workers(self):
        """The processes that take connections."""
        return children(self.master)

    def _wait_for_workers(self, old):
        wait_for("the new workers", lambda: len(set(self.workers()) - set(old)) >= self.count)

    def reload(self):
        """Its own."""
        old = self.workers()
        send(self.master, signal.SIGHUP)
        self.old += old
        self._wait_for_workers(old)

    def upgrade(self):
        """A second master beside the first, which then drains."""
        send(self.master, signal.SIGUSR2)
        new = wait_for("the new master", self.new_master)
        wait_for("its workers", lambda: len(children(new)) >= self.count)
        # The new master is a child of the old one.
        self.old += [self.master, *(pid for pid in self.workers() if pid != new)]
        send(self.master, self.graceful)
        wait_for("the old master to end", lambda: not self._runs(self.master), BOUND)
        self.master = new
        wait_for("the new master to be the only one", self.is_alone)

    def is_alone(self):
        """Whether the new master knows that the old one has ended."""
        return True

    def new_master(self):
        """After SIGUSR2, once it is there."""
        raise NotImplementedError

    def kill(self, notes):
        """Kills a worker, and waits for the next."""
        victim = next(pid for pid in self.workers() if pid not in self.old)
        loading.kill(victim, self.port, notes)
        wait_for("the next worker", lambda: len(self.workers()) >= self.count and victim not in self.workers())

    def pause(self):
        """Stops all workers where they are, so that nobody accepts; gives back their processes."""
        paused = self.workers()
        for pid in paused:
            send(pid, signal.SIGSTOP)
        return paused

    def settle(self):
        """Waits until all that were to drain have ended."""
        wait_for("the old processes to end", lambda: not any(self._runs(pid) for pid in self.old))
        self.old.clear()

    def _runs(self, pid):
        return (seen := stat(pid)) is not None and seen[1] != "Z"

    def queued(self):
        """Connections that wait to be accepted."""
        return queued(self.port)

    def stop(self):
        """Ends it."""
        send(self.master, self.graceful)
        wait_for(f"{self.name} to end", lambda: not self._runs(self.master), BOUND)


class Nginx(Neighbour):
    """nginx: SIGHUP, and SIGUSR2 with SIGQUIT for the old master."""

    graceful = signal.SIGQUIT

    def command(self):
        settings = {"folder": self.folder, "port": self.port, "processes": self.count, "pid": f"pid {self.pid_file};"}
        settings["daemon"] = "on"
        return [
            tools.nginx(),
            "-p",
            self.folder,
            "-c",
            tools.fill_in("nginx.conf.in", self.folder / "conf", **settings),
        ]

    def start(self):
        # In the foreground it takes no SIGUSR2: it would think that its own parent was being upgraded.
        self.machine.start(self.command(), self.log).wait(BOUND)
        written = wait_for("nginx's process id", lambda: self.pid_file.exists() and self.pid_file.read_text().strip())
        self.master = int(written)
        wait_for("the workers", lambda: len(self.workers()) >= self.count)

    def new_master(self):
        old = self.pid_file.with_name("pid.oldbin")
        number = old.exists() and self.pid_file.exists() and self.pid_file.read_text().strip()
        return int(number) if number and int(number) != self.master else None

    def workers(self):
        def takes(pid):
            try:
                with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                    return file.read().rstrip("\0 ") == "nginx: worker process"
            except OSError:
                return False

        return [pid for pid in super().workers() if takes(pid)]


class Gunicorn(Neighbour):
    """gunicorn: SIGHUP, and SIGUSR2 with SIGTERM for the old master."""

    count = 8

    def command(self):
        bind = ["--bind", f"127.0.0.1:{self.port}", "--pid", self.pid_file]
        return [tools.python("gunicorn"), "-w", self.count, *bind, *GUNICORN]

    def new_master(self):
        file = self.pid_file.with_name("pid.2")
        number = file.read_text().strip() if file.exists() else ""
        return int(number) if number else None

    def is_alone(self):
        # Only then does it take the old one's file, and until then a reload ends it.
        return self.pid_file.exists() and self.pid_file.read_text().strip() == str(self.master)


class Cluster(Neighbour):
    """Node's cluster: the primary accepts, and forks new workers at SIGHUP."""

    has_upgrade = False

    def command(self):
        return [tools.node(), tools.PROOF / "neighbours" / "cluster.js", self.port]

    def start(self):
        super().start()
        wait_for("the cluster to listen", lambda: "ready" in end_of(self.log) or self._ended())


NEIGHBOURS = {"nginx-itself": Nginx, "gunicorn-itself": Gunicorn, "node-cluster": Cluster}
