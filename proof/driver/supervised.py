"""A server under `sharesock run`."""

import dataclasses
import json
import os
import signal
import subprocess
import time

from . import loading, tools
from .machine import BOUND, Failed, accepts, end_of, free_port, group, queued, send, wait_for
from .servers import SERVERS

WORKERS = 2


class Supervised:
    """Two workers, and the supervisor that restarts them."""

    # Its upgrade replaces the supervisor alone.
    upgrade_keeps_workers = True
    has_upgrade = True

    def __init__(self, machine, server, variant="", plain=False):
        self.machine, self.name, self.listener = machine, server, free_port()
        self.folder = machine.folder / f"{server}{variant}"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.spec = SERVERS[server](self.folder, self.listener)
        if plain:
            self.spec = dataclasses.replace(self.spec, command=self.spec.plain or self.spec.command, stop_signal="TERM")
        # Seconds; a server that does not end at SIGTERM is not to hold everything up.
        self.stop_timeout = 5 if plain else 30
        self.port = self.spec.front_port or self.listener
        # Behind a front nobody knows whose connection a killed worker had.
        self.has_kill = self.spec.front is None
        self.program = tools.sharesock()
        self.process = None
        self.front = None

    def start(self):
        """Starts it, and waits until its workers are ready."""
        ready = self.folder / "ready.json"
        options = ["--name", self.name, "--domain", self.folder / "domain", "--ready-file", ready, "--json"]
        options += ["--listen", f"web=127.0.0.1:{self.listener},{self.spec.listener}", "--workers", WORKERS]
        options += ["--stop-signal", self.spec.stop_signal, "--stop-timeout", self.stop_timeout]
        command = [self.program, "run", *options, "--", *self.spec.command]
        environment = {**os.environ, **self.spec.environment}
        self.process = self.machine.start(command, self.log, env=environment)
        wait_for("the workers to be ready", lambda: ready.exists() or self._ended())
        if self.spec.front:
            self.front = self.machine.start(self.spec.front, self.log)
            wait_for("the front", lambda: accepts(self.port))

    def _ended(self):
        if (code := self.process.poll()) is not None:
            raise Failed(f"the supervisor ended with {code}:\n{end_of(self.log)}")
        return False

    def _say(self, *command):
        words = [self.program, command[0], self.name, "--domain", self.folder / "domain", *command[1:]]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=BOUND * 2)
        if done.returncode != 0:
            raise Failed(
                f"`sharesock {command[0]}` ended with {done.returncode}: {done.stderr.strip()}\n{end_of(self.log)}"
            )
        return done.stdout

    def status(self):
        """What it says of itself."""
        return json.loads(self._say("status", "--json"))

    def workers(self):
        """The processes of the workers that take connections."""
        return [worker["pid"] for worker in self.status()["workers"] if worker["state"] == "ready"]

    def _wait_for_workers(self, gone):
        def there():
            workers = self.workers()
            return len(workers) == WORKERS and not set(workers) & set(gone) and workers

        return wait_for("the new workers", there)

    def reload(self):
        """New workers, then the old ones drain."""
        old = self.workers()
        self._say("reload")
        self._wait_for_workers(old)

    def upgrade(self):
        """The supervisor replaces itself, and its workers notice nothing; gives back the seconds it took."""
        old = self.status()
        began = time.monotonic()
        self._say("upgrade")
        took = time.monotonic() - began
        new = self.status()
        workers = [
            sorted((worker["pid"], worker["generation"]) for worker in status["workers"]) for status in (old, new)
        ]
        if new["pid"] != old["pid"] or new["upgrades"] != old["upgrades"] + 1 or workers[0] != workers[1]:
            raise Failed(f"that was no upgrade: from {old} to {new}")
        return took

    def kill(self, notes):
        """Kills a worker, all of its processes, and waits for the next."""
        victim = self.workers()[0]
        loading.kill(victim, self.port, notes, group=True)
        self._wait_for_workers([victim])

    def pause(self):
        """Stops all workers where they are, so that nobody accepts; gives back their processes."""
        paused = [pid for worker in self.status()["workers"] for pid in group(worker["pid"])]
        for pid in paused:
            send(pid, signal.SIGSTOP)
        return paused

    def settle(self):
        """Waits until all that were to drain have ended."""
        wait_for("the old workers to end", lambda: len(self.status()["workers"]) == WORKERS)

    def queued(self):
        """Connections that wait to be accepted."""
        return queued(self.listener)

    def stop(self):
        """Ends it, as an operator would."""
        if self.front:
            self.front.terminate()
            self.front.wait(BOUND)
        self._say("stop")
        code = self.process.wait(BOUND)
        if code != 0:
            raise Failed(f"the supervisor ended with {code}:\n{end_of(self.log)}")
