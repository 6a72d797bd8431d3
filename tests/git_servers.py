"""Real git servers on loopback: http with http-backend, git daemon, sshd.

Each runs in its own process or thread, and ends with its `with` block.
"""

import base64
import getpass
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.world import run_command


@dataclass
class HttpServer:
    """`git http-backend` behind the standard library's server.

    Attributes:
        root: Directory of the repositories.
        password: Of the user `ada`; None to let anybody in.
        answer: A status to answer everything with instead, such as 503.
        hang: Never answer until released.
        hang_at: The same, only for requests whose path contains this.
        delay: Seconds before each answer.
        cut: Share of pushes whose connection is cut, half of them before and half of them after
            the repository took the push.
        cuts: How many were cut so far.
        skew: Seconds that the server's clock is ahead.
    """

    root: Path
    password: str | None = None
    answer: int | None = None
    hang: bool = False
    hang_at: str = ""
    delay: float = 0.0
    cut: float = 0.0
    cuts: int = 0
    skew: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311
    port: int = 0
    requests: list[str] = field(default_factory=list)
    headers: list[list[str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    asked: int = 0
    """Requests that were left without an answer."""

    reached: threading.Event = field(default_factory=threading.Event)

    def wait_until_asked(self) -> None:
        """Wait for the first request that is left without an answer."""
        assert self.reached.wait(30)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


@contextmanager
def http_server(  # noqa: C901  a handler class in it
    root: Path, password: str | None = None
) -> Iterator[HttpServer]:
    """Serve the repositories below a directory over http."""
    settings = HttpServer(root, password)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            self.serve()

        def do_POST(self) -> None:
            self.serve()

        def serve(self) -> None:
            settings.requests.append(f"{self.command} {self.path}")
            settings.headers.append(
                [name.lower() for name, _ in self.headers.items()]
            )
            if settings.hang or (
                settings.hang_at and settings.hang_at in self.path
            ):
                settings.asked += 1
                settings.reached.set()
                settings.released.wait(60)
                return
            settings.released.wait(settings.delay)
            if settings.answer is not None:
                self.send_response(settings.answer)
                self.end_headers()
                return
            if not self.may_enter():
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            pushes = self.command == "POST" and self.path.endswith(
                "git-receive-pack"
            )
            cut = settings.chance.random() if pushes else 1.0
            settings.cuts += cut < settings.cut
            if cut < settings.cut / 2:
                return
            answer = self.run_backend()
            if cut >= settings.cut:
                self.wfile.write(answer)

        def may_enter(self) -> bool:
            if settings.password is None:
                return True
            wanted = base64.b64encode(
                f"ada:{settings.password}".encode()
            ).decode()
            return self.headers.get("Authorization") == f"Basic {wanted}"

        def run_backend(self) -> bytes:
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("Content-Length") or 0)
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self.read_chunks()
            else:
                body = self.rfile.read(length)
            env = (
                os.environ
                | {
                    "GIT_PROJECT_ROOT": str(settings.root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_CONFIG_GLOBAL": os.devnull,  # the server is another user's machine
                    "GIT_CONFIG_COUNT": "2",
                    "GIT_CONFIG_KEY_0": "http.receivepack",
                    "GIT_CONFIG_VALUE_0": "true",
                    "GIT_CONFIG_KEY_1": "safe.directory",
                    "GIT_CONFIG_VALUE_1": "*",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get(
                        "Content-Encoding", ""
                    ),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "REMOTE_USER": "ada",
                    "REMOTE_ADDR": "127.0.0.1",
                }
            )
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                env=env,
                capture_output=True,
                check=False,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(
                line.split(": ", 1) for line in head.decode().splitlines()
            )
            status = headers.pop("Status", "200 OK")
            headers["Date"] = formatdate(
                time.time() + settings.skew, usegmt=True
            )
            lines = [
                f"HTTP/1.0 {status}",
                *(f"{name}: {value}" for name, value in headers.items()),
            ]
            return "\r\n".join([*lines, "", ""]).encode() + content

        def read_chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Ignore it: some tests have clients that hang up."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        settings.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield settings
        finally:
            settings.released.set()
            server.shutdown()
            thread.join()


@contextmanager
def git_daemon(root: Path) -> Iterator[str]:
    """`git daemon` for the repositories below a directory; the URL of the directory."""
    port = free_port()
    daemon = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}",
         f"--base-path={root}", "--export-all", "--enable=receive-pack", str(root)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        wait_for_port(port, daemon)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait()


@dataclass(frozen=True)
class SshServer:
    """An sshd of our own.

    Attributes:
        alias: A host alias that the client's configuration knows.
        config: The client's configuration file.
        agent: Socket of an agent that holds the key.
    """

    alias: str
    config: Path
    agent: str
    known_hosts: Path

    def url(self, path: Path) -> str:
        return f"{self.alias}:{path}"


@contextmanager
def ssh_server(directory: Path) -> Iterator[SshServer]:
    """Start sshd on loopback. The key is only in an agent, and the host has only an alias."""
    directory.mkdir()
    port, user = free_port(), _user()
    for name in ("host", "user"):
        run_command(
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            str(directory / name),
        )
    known, authorized = directory / "known_hosts", directory / "authorized_keys"
    host_key = (directory / "host.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
    authorized.write_text((directory / "user.pub").read_text())
    agent = str(directory / "agent.sock")
    agent_process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", agent],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server_config = directory / "sshd_config"
    server_config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {directory / 'host'}\n"
        f"AuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\nPidFile none\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        "SetEnv GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*\n"
        "MaxStartups 100\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    daemon = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", str(server_config)],
        stderr=subprocess.DEVNULL,
    )
    config = directory / "config"
    config.write_text(
        f"Host forge\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n"
        f"  UserKnownHostsFile {known}\n  GlobalKnownHostsFile /dev/null\n"
        "  IdentityFile none\n  StrictHostKeyChecking yes\n"
    )
    try:
        wait_for_port(port, daemon)
        while not Path(agent).exists():
            assert agent_process.poll() is None
        run_command(
            "ssh-add",
            "-q",
            str(directory / "user"),
            env=os.environ | {"SSH_AUTH_SOCK": agent},
        )
        (directory / "user").unlink()
        yield SshServer("forge", config, agent, known)
    finally:
        for process in (daemon, agent_process):
            process.terminate()
            process.wait()


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return once somebody listens; fail if the process ends instead."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        return
    raise AssertionError(f"{process.args!r} ended with {process.returncode}")


def _user() -> str:
    return getpass.getuser() if os.geteuid() else "root"
