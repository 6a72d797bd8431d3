"""Sessions end: their server ends in any way, or a person signs them off.

The record is signed off in this clone and on the remote, and the claims are free.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.lease import lease_key
from csc_git.errors import StoreGone
from csc_git.server.host import Host
from tests.commands import csc
from tests.git_servers import HttpServer, http_server
from tests.world import World, git, lease_of, put, state_of, until


class RawServer:
    """`csc-git serve` as a client starts it. A test can end it in any way."""

    def __init__(self, clone: Path, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "csc_git", "serve", "--poll", "0.3", *flags],
            cwd=clone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=dict(os.environ),
        )  # fmt: skip
        self._next = 0
        about = {"protocolVersion": "2025-06-18", "capabilities": {},
                 "clientInfo": {"name": "test", "version": "1"}}  # fmt: skip
        self._ask("initialize", about)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; its structured answer."""
        answer = self._ask("tools/call", {"name": tool, "arguments": arguments})
        assert not answer["result"].get("isError"), answer
        return dict(answer["result"]["structuredContent"])

    def end(self, how: str) -> float:
        """End it; how long it took."""
        began = time.monotonic()
        assert self.process.stdin is not None
        if how == "EOF":
            self.process.stdin.close()
        else:
            self.process.send_signal(getattr(signal, how))
        self.process.wait(20)
        return time.monotonic() - began

    def close(self) -> None:
        """Close the pipes."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait(20)

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._next += 1
        request = {
            "jsonrpc": "2.0",
            "id": self._next,
            "method": method,
            "params": params,
        }
        self._send(request)
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, "the server ended"
            answer = json.loads(line)
            if answer.get("id") == self._next:
                return dict(answer)

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()


@contextmanager
def served(clone: Path, *flags: str) -> Iterator[RawServer]:
    server = RawServer(clone, *flags)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def nothing_left_running(tmp_path: Path) -> Iterator[None]:
    """End the processes that still push for servers of the test, which take minutes."""
    yield
    for pid in _pushing(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def has_signed_off(other: Coordinator, session: str) -> bool:
    other.syncing.sync()
    return lease_of(other, session).state == "signed_off"


@pytest.mark.parametrize("how", ["EOF", "SIGTERM", "SIGINT", "SIGHUP"])
def test_a_server_that_ends_signs_its_sessions_off(
    world: World, http: HttpServer, how: str
) -> None:
    clone = world.clone("one", http.url("remote.git"))
    other = world.open("other")
    with served(clone, "--machine", "one") as server:
        session = server.call("sign_on")["session"]
        assert server.call("claim", resources=["src"])["status"] == "granted"
        http.delay = 1.5
        server.call("store_data", scope="s", key="k", value=1)
        assert server.end(how) < 2
    here = world.open("one", machine="one")
    assert lease_of(here, session).state == "signed_off"
    until(lambda: has_signed_off(other, session))
    assert (
        other.values.retrieve("s", "k").value == 1
    )  # the last value arrives too
    other.authors.sign_on()
    assert other.claims.claim(None, ["src"]).status == "granted"


def test_a_server_that_ends_leaves_no_git_process(
    world: World, http: HttpServer
) -> None:
    clone = world.clone("one", http.url("remote.git"))
    with served(clone, "--no-sync") as server:
        server.call("sign_on")
    http.hang = True
    with served(clone, "--timeout", "600") as server:
        http.wait_until_asked()
        children = _tree(server.process.pid)
        assert any("git" in name for name in children.values())
        server.end("SIGTERM")
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 5)
    http.released.set()


def _tree(pid: int) -> dict[int, str]:
    """A process's children and theirs, by id."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                name = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found[int(entry.name)] = name
                found |= _tree(int(entry.name))
    return found


def test_the_next_process_signs_off_a_killed_session(
    world: World,
) -> None:
    clone, other = world.clone("one"), world.open("other")
    git("config", "csc.machine", "one", cwd=clone)
    with served(clone) as server:
        session = server.call("sign_on")["session"]
        assert server.call("claim", resources=["src"])["status"] == "granted"
        server.end("SIGKILL")
    assert state_of(other) == "ok"
    other.authors.sign_on()
    assert other.claims.claim(None, ["src"]).status == "taken"
    csc("sync", cwd=clone)
    assert has_signed_off(other, session)
    assert other.claims.claim(None, ["src"]).status == "granted"


@pytest.mark.parametrize("how", ["EOF", "SIGTERM", "SIGKILL"])
def test_a_restarted_client_resumes_its_session(world: World, how: str) -> None:
    clone = world.clone("one")
    with (
        served(clone, "--machine", "one") as first,
        served(clone, "--machine", "one") as second,
    ):
        assert first.call("sign_on")["session"] == "claude_1@one"
        assert second.call("sign_on")["session"] == "claude_2@one"
        claimed = second.call(
            "claim", resources=["src", "issue:1"], note="refactor"
        )
        assert claimed["status"] == "granted"
        first.call("sign_off")
        second.end(how)
        with served(clone, "--machine", "one") as again:
            signed_on = again.call("sign_on")
            assert signed_on["session"] == "claude_2@one"
            assert sorted(signed_on["resumed"]) == ["issue:1", "src"]
    one = world.open("one", machine="one")
    notes = {claim.note for claim in one.claims.active(one.store.snapshot())}
    assert notes <= {"refactor"}


def test_a_resumed_session_does_not_take_others_claims(world: World) -> None:
    clone, other = world.clone("one"), world.open("other")
    with served(clone, "--machine", "one") as server:
        server.call("sign_on")
        server.call("claim", resources=["src", "docs"])
        server.end("EOF")
    until(lambda: has_signed_off(other, "claude_1@one"))
    other.authors.sign_on()
    assert other.claims.claim(None, ["src/a.py"]).status == "granted"
    with served(clone, "--machine", "one") as again:
        assert again.call("sign_on")["resumed"] == ["docs"]


def test_sign_off_accepts_patterns_and_finds_stale_sessions(
    world: World,
) -> None:
    one = world.open("one")
    for name in ("ci_1", "ci_2", "claude_1"):
        one.authors.sign_on(name)
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    two = world.clone("two")
    found = json.loads(csc("sign-off", "ci_*@one", "--json", cwd=two).stdout)
    assert sorted(found["signed_off"]) == ["ci_1@one", "ci_2@one"]
    assert (
        json.loads(csc("sign-off", "--stale", "--json", cwd=two).stdout)[
            "signed_off"
        ]
        == []
    )
    fresh = world.open("other", lease=2)
    fresh.authors.sign_on()
    assert state_of(fresh) == "ok"
    csc("sync", cwd=two)
    until(lambda: _stale(two) == ["claude_1@other"], 20)
    assert "Name a session" in csc("sign-off", cwd=two, code=2).stderr


def _stale(clone: Path) -> list[str]:
    found: list[str] = json.loads(
        csc("sign-off", "--stale", "--json", cwd=clone).stdout
    )["signed_off"]
    return found


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_server_without_sync_pushes_nothing_when_it_ends(
    world: World,
) -> None:
    clone = world.clone("one")
    with served(clone, "--no-sync") as server:
        server.call("sign_on")
        server.call("store_data", scope="s", key="private", value=1)
        server.end("EOF")
    one = world.open("one", machine="x", sync=False)
    until(lambda: not _pushing(clone))
    assert one.values.retrieve("s", "private").found
    assert git("for-each-ref", "refs/heads/csc", cwd=world.remote) == ""


def _pushing(directory: Path) -> list[int]:
    """Processes that push for ended servers of clones below a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_text()
            except OSError:
                continue
            if "--until-pushed" in command and str(directory) in command:
                found.append(int(entry.name))
    return found


def test_a_deleted_store_leaves_no_active_session(
    world: World,
) -> None:
    """The server's former session must not block its name and claims."""
    host = Host(world.clone("one"), {"machine": "one"})
    one = host.get()
    name = one.authors.sign_on().session
    assert one.claims.claim(None, ["src"]).status == "granted"
    shutil.rmtree(world.directory / "one/.git/csc/state.git")
    with pytest.raises(StoreGone):
        host.get()
    again = host.get()
    assert again.syncing.sync().state == "ok"
    assert again.authors.sign_on().session == name
    assert again.claims.claim(None, ["src"]).status == "granted"
    host.close()


def test_a_second_close_waits_for_the_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(world.clone("one"), {"machine": "one"})
    host.get()
    entered, may_go_on, order = (
        threading.Event(),
        threading.Event(),
        list[str](),
    )
    leave = Coordinator.leave

    def slowly(coordinator: Coordinator) -> None:
        entered.set()
        assert may_go_on.wait(20)
        leave(coordinator)
        order.append("first")

    monkeypatch.setattr(Coordinator, "leave", slowly)

    def second_end() -> None:
        host.close()
        order.append("second")

    first = threading.Thread(target=host.close)
    second = threading.Thread(target=second_end)
    first.start()
    assert entered.wait(20)
    second.start()
    may_go_on.set()
    first.join(20)
    second.join(20)
    assert order == ["first", "second"]


def test_a_local_session_is_stale_by_its_lock_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a laptop slept its record is old, but the process is alive."""
    one = world.open("one", lease=60)
    name = one.authors.sign_on().session
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=5))
    snapshot = one.store.snapshot()
    assert not world.open("one", machine="one").sessions.endings.is_stale(
        name, snapshot
    )


def test_a_session_that_died_long_ago_is_not_resumed(world: World) -> None:
    one = world.open("one")
    name = one.authors.sign_on().session
    assert one.claims.claim(None, ["src"]).status == "granted"
    one.sessions.release_locks()  # as the kernel does when the process dies
    file = world.directory / "one/.git/csc/sessions" / name
    os.utime(file, (time.time() - 86_400, time.time() - 86_400))
    again = world.open("one")
    again.syncing.sync()
    assert again.authors.sign_on().resumed == []


def test_ending_during_a_fetch_records_no_failure(
    world: World, tmp_path: Path
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        one = world.open(world.clone("one", server.url("remote.git")))
        put(one, "s", "k", 1)
        assert state_of(one) == "ok"
        before = one.store.sync_status
        server.hang = True
        one.start()
        server.wait_until_asked()
        one.close()
        server.released.set()
    file = json.loads((world.directory / "one/.git/csc/sync.json").read_text())
    assert (file["state"], file["failures"]) == ("ok", before.failures)


def test_ending_during_a_push_makes_no_further_request(
    world: World, tmp_path: Path
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        one = world.open(world.clone("one", server.url("remote.git")))
        put(one, "s", "k", 1)
        assert state_of(one) == "ok"
        put(one, "s", "k", 2)
        server.hang = True
        one.start()
        server.wait_until_asked()
        one.close()
        assert server.asked == 1
        server.released.set()


def test_a_person_can_sign_off_a_session(
    busy: Coordinator, clone: Path
) -> None:
    done = csc("sign-off", "builder@one", "nobody", cwd=clone).stdout
    assert "builder@one: signed off\nnobody: was not signed on\n" in done
    stored = busy.store.snapshot().get(lease_key("builder@one"))
    assert stored is not None
    assert stored.entry.value["state"] == "signed_off"
    assert csc("claims", cwd=clone).stdout == ""
    assert (
        "not a session name" in csc("sign-off", "a b", cwd=clone, code=1).stderr
    )


def test_closing_one_store_ends_no_git_of_another(
    world: World, tmp_path: Path
) -> None:
    """Both are open in this process, as in a program that embeds csc-git."""
    world.make_remote()
    with http_server(tmp_path) as server:
        url = server.url("remote.git")
        one = world.open(world.clone("one", url))
        other = world.open(world.clone("other", url))
        assert state_of(one) == "ok"
        earlier = len(server.requests)
        server.delay = 30
        states: list[str] = []
        syncing = threading.Thread(target=lambda: states.append(state_of(one)))
        syncing.start()
        until(lambda: len(server.requests) > earlier)
        other.close()
        server.released.set()
        syncing.join()
        assert states == ["ok"]
