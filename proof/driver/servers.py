"""The servers that `sharesock run` supervises: how each is started, and by which signal it drains."""

import dataclasses
import os
import pwd

from . import tools
from .machine import free_port


@dataclasses.dataclass
class Server:
    """How a server is run."""

    command: list
    stop_signal: str = "TERM"
    # Options of the listener.
    listener: str = "backlog=1024"
    environment: dict = dataclasses.field(default_factory=dict)
    # The command without what makes it drain at the stop signal.
    plain: list | None = None
    # What speaks HTTP for it, and where.
    front: list | None = None
    front_port: int | None = None
    # What the table of servers says: without a title it has no line there.
    title: str = ""
    shown: str = ""
    shown_environment: str = ""
    note: str = ""


# Neither may write beside its sources, nor into the home folder.
PYTHON = {"PYTHONDONTWRITEBYTECODE": "1"}
GUNICORN = ["--no-control-socket", "--chdir", tools.SERVERS, "--graceful-timeout", 20, "server:wsgi"]


def gunicorn(_folder, _port):
    """gunicorn with its usual workers, which have a connection each."""
    return Server(
        [tools.python("gunicorn"), "-w", 4, *GUNICORN],
        environment=PYTHON,
        title="gunicorn, uvicorn under gunicorn",
        shown="`gunicorn app:app`, without `--bind`",
    )


def gthread(_folder, _port):
    """gunicorn with threads, which keeps connections."""
    return Server([tools.python("gunicorn"), "-k", "gthread", "--threads", 8, *GUNICORN], environment=PYTHON)


def uvicorn(_folder, _port):
    """uvicorn, which is told the descriptor on its command line."""
    command = [tools.python("uvicorn"), "--fd", "{fd}", "--app-dir", tools.SERVERS, "--no-access-log", "server:asgi"]
    return Server(
        command, environment=PYTHON, title="uvicorn", shown="`uvicorn app:app --fd {fd}`", note="¹"
    )


def node(_folder, _port):
    """Node's http module."""
    shown = "`server.listen({ fd: 3 })`, and on SIGTERM `server.close()`"
    return Server([tools.node(), tools.SERVERS / "server.js"], title="Node, changed", shown=shown)


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
    return Server(
        ["sh", "-c", script],
        stop_signal="QUIT",
        listener="nonblock",
        title="nginx",
        shown='`nginx -g "daemon off;"`, with the same address in its `listen` and the listener option `nonblock`',
        shown_environment='`NGINX="3;"`',
    )


def rust(_folder, _port):
    """hyper, with the listener by listenfd."""
    return Server([tools.rust_server()], title="Rust", shown="whatever uses the crate `listenfd`")


def go(_folder, _port):
    """net/http, with the listener by coreos/go-systemd."""
    shown = "whatever uses `github.com/coreos/go-systemd/activation`"
    return Server([tools.go_server()], title="Go", shown=shown)


def puma(_folder, _port):
    """puma in one process with eight threads."""
    command = [tools.puma(), "--bind-to-activated-sockets", "only", "-t", "8:8", "-e", "production"]
    shown = "`puma --bind-to-activated-sockets only`"
    return Server([*command, "--no-config", tools.SERVERS / "config.ru"], title="puma", shown=shown)


def unicorn(_folder, _port):
    """unicorn, which stops at once at SIGTERM."""
    options = ["-N", "-E", "production", "-c", tools.SERVERS / "unicorn.rb"]
    command = [tools.unicorn(), *options, tools.SERVERS / "config.ru"]
    return Server(command, stop_signal="QUIT", title="unicorn", shown="`unicorn`, without `-l`")


def php_fpm(folder, port):
    """php-fpm, which takes sockets over from an earlier php-fpm: to it, the variable FPM_SOCKETS says which."""
    front_port, user = free_port(), pwd.getpwuid(os.getuid()).pw_name
    config = tools.fill_in("php-fpm.conf.in", folder / "php-fpm.conf", folder=folder, port=port, user=user)
    script = tools.SERVERS / "page.php"
    front = tools.fill_in(
        "front.conf.in", folder / "front.conf", folder=folder, front=front_port, port=port, script=script
    )
    return Server(
        [tools.php_fpm(), "-F", "-R", "-n", "-y", config],
        stop_signal="QUIT",
        environment={"FPM_SOCKETS": f"127.0.0.1:{port}=3"},
        front=[tools.nginx(), "-p", folder, "-c", front],
        front_port=front_port,
        title="php-fpm",
        shown="`php-fpm -F`, with `process_control_timeout = 20s`",
        shown_environment='`FPM_SOCKETS="ADDRESS=3"`, with the `listen` of the pool as ADDRESS',
    )


def haproxy(folder, _port):
    """HAProxy, which stops at once at SIGTERM."""
    config = tools.fill_in("haproxy.cfg.in", folder / "haproxy.cfg", script=tools.SERVERS / "page.lua")
    shown = "`haproxy -db -f FILE`, with `bind fd@3`"
    return Server([tools.haproxy(), "-db", "-f", config], stop_signal="USR1", title="HAProxy", shown=shown)


def uwsgi(_folder, _port):
    """uWSGI, which starts anew at SIGTERM unless a hook says otherwise."""
    command = [tools.uwsgi(), "--plugin", "python3", "--http-socket", "fd://{fd}", "--master", "--processes", 4]
    command += ["--need-app", "--disable-logging", "--wsgi-file", tools.SERVERS / "server.py", "--callable", "wsgi"]
    # It ends every connection after its answer, but does not say so by itself.
    command += ["--add-header", "Connection: close"]
    drains = ["--hook-master-start", "unix_signal:15 gracefully_kill_them_all"]
    return Server(
        [*command, *drains],
        environment=PYTHON,
        plain=command,
        title="uWSGI",
        shown=f'`uwsgi --master --http-socket fd://{{fd}} {drains[0]} "{drains[1]}" …`',
        note=" without the hook",
    )


def hypercorn(_folder, _port):
    """hypercorn, which is told the descriptor as its address, and sets the listener's backlog to 100 by itself."""
    command = [tools.python("hypercorn"), "--bind", "fd://{fd}", "--backlog", 1024, "--graceful-timeout", 20]
    return Server(
        [*command, "server:asgi"],
        environment={**PYTHON, "PYTHONPATH": str(tools.SERVERS)},
        title="hypercorn",
        shown="`hypercorn --bind fd://{fd} --backlog 1024 app:app`",
        note="¹ ²",
    )


SERVERS = {
    "gunicorn": gunicorn,
    "gthread": gthread,
    "uvicorn": uvicorn,
    "node": node,
    "nginx": nginx,
    "rust": rust,
    "go": go,
    "puma": puma,
    "unicorn": unicorn,
    "php-fpm": php_fpm,
    "haproxy": haproxy,
    "uwsgi": uwsgi,
    "hypercorn": hypercorn,
}

# What these lose they lose themselves: it is shown, and counts as little as what a neighbour loses.
LOSE_THEMSELVES = {
    "uvicorn": "when it is to end it closes accepted connections whose request it has not read yet",
    "hypercorn": "when it is to end it closes accepted connections whose request it has not read yet",
}
