"""What happens to each server under load, the same to all."""

import signal
import threading

from .loading import Fill, Load
from .machine import Failed, send

FILLED = 100
# Seconds.
PATIENCE = 60
# Fractions of the time under load.
MOMENTS = [(0.12, "reload"), (0.28, "reload"), (0.44, "kill"), (0.60, "upgrade"), (0.78, "reload")]


def prove(subject, seconds, settings):
    """Everything, from the start of the server to its end."""
    subject.start()
    done = {"load": under_load(subject, seconds, settings), "waiting": {}}
    done["waiting"]["reload"] = waiting(subject, subject.reload, until_answered=True)
    if subject.has_upgrade:
        answered = not subject.upgrade_keeps_workers
        done["waiting"]["upgrade"] = waiting(subject, subject.upgrade, until_answered=answered)
    subject.stop()
    return done


def under_load(subject, seconds, settings):
    """Three reloads, an upgrade and a killed worker, while requests go on."""
    load = Load(subject.machine, subject.name, subject.port, settings)
    try:
        for fraction, deed in MOMENTS:
            load.until(fraction * seconds)
            if deed == "kill":
                if subject.has_kill:
                    subject.kill(load.notes)
            elif deed == "reload":
                subject.reload()
            elif subject.has_upgrade:
                subject.upgrade()
        load.until(seconds)
        subject.settle()
        return load.finish()
    finally:
        load.process.kill()


def waiting(subject, deed, until_answered):
    """Connections fill the backlog while nobody accepts, then the deed is done: all are answered."""
    paused = subject.pause()
    fill = Fill(subject.port, FILLED, PATIENCE)
    try:
        queued = subject.queued()
        raised = []
        work = threading.Thread(target=_note(deed, raised))
        work.start()
        if until_answered:
            # By the new ones alone. If they cannot, the old may help: the table says how many were answered.
            fill.wait(20)
        else:
            work.join()
        for pid in paused:
            send(pid, signal.SIGCONT)
        work.join()
        if raised:
            raise raised[0]
        report = fill.finish()
        subject.settle()
        return {"sent": fill.sent, "queued": queued, "answered": report["ok"], "report": report}
    finally:
        fill.process.kill()
        for pid in paused:
            send(pid, signal.SIGCONT)


def _note(deed, raised):
    def run():
        try:
            deed()
        except Exception as error:  # Raised again by the thread that waits.
            raised.append(error if isinstance(error, Failed) else Failed(repr(error)))

    return run
