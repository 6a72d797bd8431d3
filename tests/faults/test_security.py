"""Rules of security, each with a canary: a file, command or port that shows if the rule is broken.

What a server does is read from its system calls, not from its answers.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from csc_git.errors import ForeignRepository
from tests.faults.injection import MISSING
from tests.git_servers import http_server
from tests.world import ROOT, World, git, put, state_of

traced = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))
PASSWORD = "hunter2-correct-horse"
CALLS = "trace=openat,open,creat,stat,access,connect,execve,rename,unlink,mkdir,readlink"


class Canary:
    """A file, a command and a port that nothing may touch."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "canary-file"
        self.file.write_text("sings", encoding="utf-8")
        self.sung = directory / "canary-sung"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connected = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            self._listener.accept()
        except OSError:
            return
        self.connected.set()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def texts(self) -> list[str]:
        """Texts that an attacker would pass to a tool."""
        return [
            str(self.file),
            f"../../../../../../../../..{self.file}",
            f"file://{self.file}",
            f"http://127.0.0.1:{self.port}/canary",
            f"--output={self.sung}",
            f"--upload-pack=touch {self.sung}",
            f"ext::sh -c touch% {self.sung}",
            f"$(touch {self.sung})",
            f"`touch {self.sung}`",
            f"; touch {self.sung} #",
            f"| touch {self.sung}",
        ]


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    made = Canary(tmp_path)
    yield made
    made.close()


@contextmanager
def trace(directory: Path, script: str, *arguments: str) -> Iterator[list[str]]:
    """Run a script and its child processes under strace; the traced calls."""
    log = directory / "calls"
    command = [
        "strace",
        "-f",
        "-s",
        "2000",
        "-o",
        str(log),
        "-e",
        CALLS,
        sys.executable,
        "-c",
    ]
    done = subprocess.run(
        [*command, script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    yield [
        *log.read_text(encoding="utf-8", errors="replace").splitlines(),
        done.stderr,
    ]


@traced
def test_no_tool_opens_a_path_or_url_it_is_given(
    world: World, canary: Canary, tmp_path: Path
) -> None:
    clone = world.clone("one")
    with trace(tmp_path, _EVERY_TOOL, str(clone), *canary.texts) as calls:
        assert not [
            line
            for line in calls
            if canary.file.name in line and "execve" not in line
        ]
        for line in (
            line for line in calls if "execve" in line and "canary" in line
        ):
            if not line.partition("execve(")[2].startswith(
                f'"{sys.executable}"'
            ):
                operands = line.partition('"--"')
                assert "canary" not in operands[0], line  # only behind the --
    assert not canary.connected.is_set()
    assert not canary.sung.exists()
    assert not any("canary" in path.name for path in clone.rglob("*"))


_EVERY_TOOL = """
import sys, anyio
from pathlib import Path
from tests.agents import agent
async def main():
    async with agent(Path(sys.argv[1])) as claude:
        tools = (await claude.client.list_tools()).tools
        await claude.client.call_tool("sign_on", {})
        for text in sys.argv[2:]:
            for tool in tools:
                if tool.name in {"sign_on", "sign_off"}:
                    continue
                properties = tool.input_schema["properties"]
                for names in (set(properties), {"scope", "key", "value"} & set(properties)):
                    await claude.client.call_tool(tool.name, {
                        name: given(name, properties[name], text) for name in names - {"session"}
                    })
            for uri in (f"session://state/{text}", text):
                try:
                    await claude.client.read_resource(uri)
                except Exception:
                    pass
def given(name, schema, text):
    kind = schema.get("type")
    if name in {"scopes", "resources"}:
        return [text]
    if name == "changes":
        return [{"scope": text, "key": text, "value": text}]
    if name in {"timeout", "limit"}:
        return 1 if name == "limit" else 0
    if name == "choose":
        return "value"
    if name == "ttl" or name.startswith("if_"):
        return None
    return False if kind == "boolean" else text
anyio.run(main)
"""


@traced
@pytest.mark.parametrize("right", [False, True])
def test_credentials_of_git_appear_nowhere(
    world: World, tmp_path: Path, right: bool
) -> None:
    """They are not in arguments, which `ps` shows, in errors, in logs or in our files."""
    world.make_remote()
    with http_server(
        tmp_path, password=PASSWORD if right else "another"
    ) as server:
        url = server.url("remote.git").replace("//", f"//ada:{PASSWORD}@")
        clone = world.clone("one", url)
        git("config", "http.extraHeader", f"X-Token: {PASSWORD}", cwd=clone)
        with trace(
            tmp_path, _WORK, str(clone), str(tmp_path / "answers")
        ) as calls:
            shown = [line for line in calls if PASSWORD in line]
            own = [
                line
                for line in shown
                if not re.search(r'remote-http"|"send-pack"', line)
            ]
            assert own == []  # git's own child processes may have them
    answers = (tmp_path / "answers").read_text(encoding="utf-8")
    assert ('"state": "credentials"' in answers) != right
    assert PASSWORD not in answers
    ours = clone / ".git/csc"
    for path in [*ours.rglob("*"), *world.remote.rglob("*")]:
        assert (
            not path.is_file() or PASSWORD.encode() not in path.read_bytes()
        ), path
    for repository in (ours / "state.git", world.remote):
        log = git("log", "--all", "-p", "--format=fuller", cwd=repository)
        assert PASSWORD not in log


_WORK = """
import sys, subprocess, anyio
from pathlib import Path
from tests.agents import agent
clone, answers = Path(sys.argv[1]), []
async def main():
    async with agent(clone) as claude:
        answers.append(str(await claude.call("sign_on")))
        stored = await claude.call("store_data", scope="a", key="k", value=1, confirm=True)
        answers.append(str(stored))
        answers.append(str(await claude.read("session://context")))
        answers.append(await claude.prompt("startup"))
anyio.run(main)
for command in ("status", "sync", "status --json", "get a k", "log"):
    done = subprocess.run([sys.executable, "-m", "csc_git", *command.split()], cwd=clone,
                          capture_output=True, text=True)
    answers.append(done.stdout + done.stderr)
Path(sys.argv[2]).write_text("\\n".join(answers))
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("remote.origin.url", "ext::sh -c touch% {sung}"),
        ("remote.origin.pushurl", "ext::sh -c touch% {sung}"),
        ("remote.origin.vcs", "ext"),
        ("url.ext::sh -c touch% {sung} #.insteadOf", "{remote}"),
        ("protocol.ext.allow", "always"),
        ("core.fsmonitor", "touch {sung}"),
        ("core.hooksPath", "{hooks}"),
        ("core.askPass", "{hooks}/pre-push"),
        ("core.pager", "touch {sung}"),
        ("core.editor", "touch {sung}"),
        ("gpg.program", "{hooks}/pre-push"),
        ("core.alternateRefsCommand", "touch {sung}"),
        ("uploadpack.packObjectsHook", "{hooks}/pre-push"),
    ],
)
def test_no_git_setting_makes_us_run_a_command(
    world: World, tmp_path: Path, canary: Canary, name: str, value: str
) -> None:
    """Only ssh and credential helpers are run, as git itself runs them."""
    clone, hooks = world.clone("one"), tmp_path / "hooks"
    hooks.mkdir()
    for hook in (
        "pre-push",
        "reference-transaction",
        "pre-auto-gc",
        "post-checkout",
    ):
        (hooks / hook).write_text(
            f"#!/bin/sh\ntouch {canary.sung}\n", encoding="utf-8"
        )
        (hooks / hook).chmod(0o755)
    filled = {"sung": canary.sung, "hooks": hooks, "remote": world.remote}
    git("config", name.format(**filled), value.format(**filled), cwd=clone)
    git("config", "push.gpgSign", "true", cwd=clone)
    one = world.open(clone)
    put(one, "a", "k", 1)
    one.syncing.sync()
    one.store.repository.maintenance.write_graph()
    done = subprocess.run(
        [sys.executable, "-m", "csc_git", "log"],
        cwd=clone,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert not canary.sung.exists()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="giving a repository away takes root"
)
def test_nothing_is_run_in_another_users_repository(
    world: World, canary: Canary
) -> None:
    clone = world.clone("one")
    for name in (
        "core.sshCommand",
        "core.fsmonitor",
        "core.pager",
        "credential.helper",
    ):
        git("config", name, f"!touch {canary.sung}", cwd=clone)
    git("remote", "set-url", "origin", "ssh://example.invalid/x.git", cwd=clone)
    subprocess.run(["chown", "-R", "65534", str(clone)], check=True)
    with pytest.raises(ForeignRepository):
        world.open(clone)
    for command in ("status", "sync", "init", "log"):
        done = subprocess.run(
            [sys.executable, "-m", "csc_git", command],
            cwd=clone, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
    assert not canary.sung.exists()
    assert not (clone / ".git/csc").exists()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("core.sshCommand", "ssh://forge/x.git"),
        ("remote.origin.uploadpack", None),
    ],
)
def test_commands_of_transports_are_run_as_git_runs_them(
    world: World, canary: Canary, name: str, url: str | None
) -> None:
    """The user set them in the user's own repository, where git obeys them."""
    clone = world.clone("one", url)
    git("config", name, f"touch {canary.sung}; false", cwd=clone)
    one = world.open(clone)
    assert state_of(one) != "ok"
    assert canary.sung.exists()


@pytest.mark.parametrize(
    "branch", ["-x", "--upload-pack=x", "a..b", "a b", "x.lock", "@{-1}", ""]
)
def test_a_branch_name_that_git_would_misread_is_refused(
    world: World, branch: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "csc_git", "status", f"--branch={branch}"],
        cwd=world.clone("one"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert re.search(r"branch", done.stderr)


def test_nothing_is_written_outside_our_directory(
    world: World, tmp_path: Path
) -> None:
    """Names that mean something to a file system never reach it."""
    one = world.open("one")
    for name in (
        "../../escape",
        "..",
        ".git/hooks/pre-push",
        "C:\\escape",
        "con",
        "/etc/escape",
    ):
        put(one, "a", name, 1)
    assert state_of(one) == "ok"
    two = world.open("two")
    assert state_of(two) == "ok"
    assert two.values.retrieve("a", "../../escape").value == 1
    shutil.rmtree(tmp_path / "one/.git/csc")
    shutil.rmtree(tmp_path / "two/.git/csc")
    assert not [
        path
        for path in tmp_path.rglob("*escape*")
        if "hypothesis" not in str(path)
    ]
    assert not list((tmp_path / "two").glob("*.json"))
