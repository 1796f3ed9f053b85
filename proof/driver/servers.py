"""The servers that `sharesock run` supervises: how each is started, and by which signal it drains."""

import dataclasses
import sys

from . import tools


@dataclasses.dataclass
class Server:
    """How a server is run."""

    command: list
    stop_signal: str = "TERM"
    # Options of the listener.
    listener: str = "backlog=1024"
    environment: dict = dataclasses.field(default_factory=dict)


# Neither may write beside its sources, nor into the home folder.
PYTHON = {"PYTHONDONTWRITEBYTECODE": "1"}
GUNICORN = ["--no-control-socket", "--chdir", tools.SERVERS, "--graceful-timeout", 20, "server:wsgi"]


def gunicorn(_folder, _port):
    """gunicorn with its usual workers, which have a connection each."""
    return Server([tools.python("gunicorn"), "-w", 4, *GUNICORN], environment=PYTHON)


def gthread(_folder, _port):
    """gunicorn with threads, which keeps connections."""
    return Server([tools.python("gunicorn"), "-k", "gthread", "--threads", 8, *GUNICORN], environment=PYTHON)


def uvicorn(_folder, _port):
    """uvicorn, which is told the descriptor on its command line."""
    command = [tools.python("uvicorn"), "--fd", "{fd}", "--app-dir", tools.SERVERS, "--no-access-log", "server:asgi"]
    return Server(command, environment=PYTHON)


def node(_folder, _port):
    """Node's http module."""
    return Server([tools.node(), tools.SERVERS / "server.js"])


def nginx(folder, port):
    """nginx, which takes sockets over from an earlier nginx: to it, the variable NGINX says which.

    It leaves them as they are, and an earlier nginx had made them non-blocking: hence the option of the listener. Were
    one blocking, a worker that comes second to a connection would wait in accept() for the next, deaf to all else.
    """
    program = tools.nginx()
    config = tools.fill_in(
        "nginx.conf.in", folder / "nginx.conf", folder=folder, port=port, processes=1, pid="", daemon="off"
    )
    # Each of them writes its own file of the process id: `exec` keeps the shell's.
    script = f'NGINX="{{fd}};" exec {program} -p {folder} -c {config} -g "pid {folder}/nginx.$$.pid;"'
    return Server(["sh", "-c", script], stop_signal="QUIT", listener="nonblock")


def rust(_folder, _port):
    """hyper, with the listener by listenfd."""
    return Server([tools.rust_server()])


def go(_folder, _port):
    """net/http, with the listener by coreos/go-systemd."""
    return Server([tools.go_server()])


SERVERS = {
    "gunicorn": gunicorn,
    "gthread": gthread,
    "uvicorn": uvicorn,
    "node": node,
    "nginx": nginx,
    "rust": rust,
    "go": go,
}

# What these lose they lose themselves: it is shown, and counts as little as what a neighbour loses.
LOSE_THEMSELVES = {
    "uvicorn": "when it is to end it closes accepted connections whose request it has not read yet",
}
