"""A network in a namespace, which can be made to misbehave; and gitolite as a host."""

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.world import git

_NUMBERS: Final = itertools.count()
_PORT: Final = 9418
_SHELL: Final = Path("/usr/share/gitolite3/gitolite-shell")


def why_no_network() -> str | None:
    """Reason that there can't be such a network here; None if there can."""
    if os.geteuid() != 0:
        return "a network namespace takes root"
    tools = [
        tool
        for tool in ("ip", "iptables", "tc", "nsenter")
        if not shutil.which(tool)
    ]
    return f"{', '.join(tools)} not installed" if tools else None


@dataclass
class Network:
    """A namespace with a loopback device, and a `git daemon` in it.

    Attributes:
        name: Of the namespace.
        root: Directory of the repositories that the daemon serves.
        url: Where the daemon is, seen from inside.
    """

    name: str
    root: Path
    url: str = f"git://127.0.0.1:{_PORT}"
    _daemon: "subprocess.Popen[bytes] | None" = None

    def drop(self, *match: str) -> None:
        """Let packets that match get lost."""
        self._inside("iptables", "-A", "INPUT", *match, "-j", "DROP")

    def slow(self, rate: str, latency: str) -> None:
        """Limit the rate, and queue packets for at most this latency."""
        self._inside(
            *("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", rate),
            *("burst", "16kb", "latency", latency),
        )

    def mend(self) -> None:
        """Let everything through again."""
        self._inside("iptables", "-F", "INPUT")

    def start(self) -> None:
        """Start the daemon, and wait until it answers."""
        self._daemon = subprocess.Popen(
            [*_inside(self.name), "git", "daemon", "--reuseaddr", "--listen=127.0.0.1",
             f"--port={_PORT}", f"--base-path={self.root}", "--export-all",
             "--enable=receive-pack", str(self.root)],
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        asks = [
            *_inside(self.name),
            "git",
            "ls-remote",
            f"{self.url}/remote.git",
        ]
        while subprocess.run(asks, capture_output=True, check=False).returncode:
            assert self._daemon.poll() is None

    def kill(self) -> None:
        """Kill the daemon and all that it runs, as when its machine goes down."""
        assert self._daemon is not None
        os.killpg(self._daemon.pid, signal.SIGKILL)
        self._daemon.wait()

    def _inside(self, *command: str) -> None:
        subprocess.run(
            [*_inside(self.name), *command], check=True, capture_output=True
        )


@contextmanager
def network(root: Path, binaries: Path) -> Iterator[Network]:
    """A network, and a `git` in `binaries` that works inside it."""
    name = f"csc-{os.getpid()}-{next(_NUMBERS)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    binaries.mkdir()
    wrapper = binaries / "git"
    inside = " ".join(_inside(name))
    wrapper.write_text(
        f'#!/bin/sh\nexec {inside} {shutil.which("git")} "$@"\n',
        encoding="utf-8",
    )
    wrapper.chmod(0o755)
    made = Network(name, root)
    try:
        subprocess.run(
            [*_inside(name), "ip", "link", "set", "lo", "mtu", "1500", "up"],
            check=True,
        )
        made.start()
        yield made
    finally:
        made.kill()
        subprocess.run(["ip", "netns", "delete", name], check=True)


def _inside(name: str) -> Sequence[str]:
    """How to run a command in a namespace; `ip netns exec` would copy all mounts as well."""
    return ("nsenter", f"--net=/run/netns/{name}")


@dataclass(frozen=True)
class Gitolite:
    """A gitolite of our own, reached as the forced command of an ssh key reaches it.

    Attributes:
        home: Its home.
        ssh: A script in place of ssh, for `GIT_SSH_COMMAND`.
    """

    home: Path
    ssh: Path

    @property
    def url(self) -> str:
        """The one repository of users."""
        return "git@forge:project"

    @property
    def repository(self) -> Path:
        """Where it is on disk."""
        return self.home / "repositories/project.git"

    def allow(self, *rules: str) -> None:
        """Give the user exactly these rights, in gitolite's syntax."""
        lines = ["repo gitolite-admin", "    RW+ = admin", "repo project"]
        lines += [f"    {rule}" for rule in rules]
        (self.home / ".gitolite/conf/gitolite.conf").write_text(
            "\n".join(lines) + "\n", "utf-8"
        )
        for command in (["compile"], ["trigger", "POST_COMPILE"]):
            self.run(*command)

    def run(self, *command: str) -> None:
        """Run gitolite in its home."""
        env = os.environ | {"HOME": str(self.home)}
        subprocess.run(
            ["gitolite", *command], env=env, check=True, capture_output=True
        )


def gitolite(home: Path) -> Gitolite:
    """Set up a gitolite whose one user is ada."""
    home.mkdir()
    settings = "[user]\n\tname = host\n\temail = host@example.com\n[init]\n\tdefaultBranch = main\n"
    (home / ".gitconfig").write_text(settings, encoding="utf-8")
    ssh = home / "ssh"
    ssh.write_text(
        "#!/bin/sh\n"
        "shift $(($# - 1))\n"  # the command is the last argument
        f'export SSH_ORIGINAL_COMMAND="$1" SSH_CONNECTION="1 2 3 4" HOME={home}\n'
        f"unset GIT_CONFIG_COUNT\nexec {_SHELL} ada\n",
        encoding="utf-8",
    )
    ssh.chmod(0o755)
    made = Gitolite(home, ssh)
    made.run("setup", "-a", "admin")
    made.allow("RW+ = ada")
    git("config", "--global", "--add", "safe.directory", "*", cwd=home)
    return made


NO_GITOLITE: Final = None if _SHELL.exists() else "gitolite3 is not installed"
