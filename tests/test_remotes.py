"""Remotes of every kind, reached as the user's own git reaches them."""

import time
from pathlib import Path

import pytest

from csc_git.store.recovery import Permit
from tests.git_servers import git_daemon, http_server, ssh_server
from tests.world import World, git, put, state_of


def _shared(world: World, one: Path, two: Path) -> None:
    """Two clones see each other's edits through their remote."""
    first, second = world.open(one.name), world.open(two.name)
    put(first, "from", "first", 1)
    assert state_of(first) == "ok"
    assert state_of(second) == "ok"
    put(second, "from", "second", 2)
    assert state_of(second) == "ok"
    assert state_of(first) == "ok"
    assert first.list_keys("from").keys == ["first", "second"]
    assert len(world.log()) == 3


def test_a_path(world: World) -> None:
    _shared(world, world.clone("one"), world.clone("two"))


def test_a_relative_path(world: World) -> None:
    _shared(
        world,
        world.clone("one", "../remote.git"),
        world.clone("two", "../remote.git"),
    )


def test_a_file_url(world: World) -> None:
    url = f"file://{world.remote}"
    _shared(world, world.clone("one", url), world.clone("two", url))


def test_git_daemon(world: World, tmp_path: Path) -> None:
    with git_daemon(tmp_path) as url:
        _shared(
            world,
            *(
                world.clone(name, f"{url}/remote.git")
                for name in ("one", "two")
            ),
        )


def test_http_with_a_credential_helper_of_the_repository(
    world: World, tmp_path: Path
) -> None:
    with http_server(tmp_path, password="s3cret") as server:
        clones = [
            world.clone(name, server.url("remote.git"))
            for name in ("one", "two")
        ]
        helper = tmp_path / "helper"
        helper.write_text(
            "#!/bin/sh\necho username=ada\necho password=s3cret\n"
        )
        helper.chmod(0o755)
        for clone in clones:
            git("config", "credential.helper", str(helper), cwd=clone)
        _shared(world, *clones)


def test_http_with_an_extra_header_of_the_repository(
    world: World, tmp_path: Path
) -> None:
    """As CI systems pass their tokens."""
    with http_server(tmp_path, password="s3cret") as server:
        clones = [
            world.clone(name, server.url("remote.git"))
            for name in ("one", "two")
        ]
        for clone in clones:
            header = "Authorization: Basic YWRhOnMzY3JldA=="
            git(
                "config",
                f"http.{server.url('')}.extraHeader",
                header,
                cwd=clone,
            )
        _shared(world, *clones)


def test_ssh_with_an_agent_and_an_alias(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_server(tmp_path / "ssh") as sshd:
        monkeypatch.setenv("SSH_AUTH_SOCK", sshd.agent)
        clones = [
            world.clone(name, sshd.url(world.remote)) for name in ("one", "two")
        ]
        for clone in clones:
            git("config", "core.sshCommand", f"ssh -F {sshd.config}", cwd=clone)
        _shared(world, *clones)

        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
        coordinator = world.open("one")
        put(coordinator, "a", "b", 1)
        assert state_of(coordinator) == "credentials"

        monkeypatch.setenv("SSH_AUTH_SOCK", sshd.agent)
        known = sshd.known_hosts.read_text()
        sshd.known_hosts.write_text("")
        assert state_of(coordinator) == "host-key"
        sshd.known_hosts.write_text(known)
        assert state_of(coordinator) == "ok"


def test_instead_of_rewrites_once(world: World) -> None:
    clones = [world.clone(name, "forge:remote.git") for name in ("one", "two")]
    for clone in clones:
        git("config", f"url.{world.directory}/.insteadOf", "forge:", cwd=clone)
        # would break the rewritten URL if rules were applied to it again
        git(
            "config",
            "url./nowhere/.insteadOf",
            f"{world.directory}/",
            cwd=clone,
        )
    _shared(world, *clones)


def test_push_instead_of_is_for_pushes_only(
    world: World, tmp_path: Path
) -> None:
    with http_server(tmp_path) as server:
        clones = [
            world.clone(name, server.url("remote.git"))
            for name in ("one", "two")
        ]
        for clone in clones:
            git(
                "config",
                f"url.{world.directory}/.pushInsteadOf",
                server.url(""),
                cwd=clone,
            )
        _shared(world, *clones)
        assert any("git-upload-pack" in request for request in server.requests)
        assert not any(
            "git-receive-pack" in request for request in server.requests
        )


def test_a_proxy_of_the_repository(world: World, tmp_path: Path) -> None:
    """The proxy is asked for a host that only it can reach."""
    with http_server(tmp_path) as proxy:
        url = "http://unreachable.invalid/remote.git"
        clones = [world.clone(name, url) for name in ("one", "two")]
        for clone in clones:
            git(
                "config",
                "http.proxy",
                f"http://127.0.0.1:{proxy.port}",
                cwd=clone,
            )
        first = world.open("one")
        put(first, "a", "b", 1)
        first.sync()
        assert any(
            request.startswith(f"GET {url}/info/refs")
            for request in proxy.requests
        )


def test_a_named_remote_and_a_url(world: World, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    other = World(tmp_path / "state")
    other.make_remote()
    clone = world.clone("one")
    git("remote", "add", "state", str(other.remote), cwd=clone)
    git("config", "csc.remote", "state", cwd=clone)
    first = world.open("one")
    put(first, "a", "b", 1)
    assert state_of(first) == "ok"
    second = world.open("two", remote=str(other.remote))
    assert state_of(second) == "ok"
    assert second.retrieve("a", "b").value == 1
    assert git("branch", "--list", "csc/*", cwd=world.remote) == ""


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/pwned", "ftp://example.com/x.git", "foo://x/y", "fd::17",
        "http::http://x/y", "-oProxyCommand=x", "rsync://x/y",
    ],
)  # fmt: skip
def test_other_schemes_are_refused(world: World, url: str) -> None:
    clone = world.clone("one")
    git("config", "remote.origin.url", url, cwd=clone)
    git("config", "protocol.allow", "always", cwd=clone)
    coordinator = world.open("one")
    put(coordinator, "a", "b", 1)
    status = coordinator.sync()
    assert status.state == "bad-url"
    assert "csc.remote" in status.describe()[1]


def test_a_scheme_that_instead_of_brings_in_is_refused(world: World) -> None:
    clone = world.clone("one", "forge:x")
    git("config", "url.ext::sh -c exit% .insteadOf", "forge:", cwd=clone)
    git("config", "protocol.ext.allow", "always", cwd=clone)
    coordinator = world.open("one")
    put(coordinator, "a", "b", 1)
    assert state_of(coordinator) == "bad-url"


def test_a_remote_that_is_not_there_is_said(world: World) -> None:
    coordinator = world.open("one", remote="nobody")
    put(coordinator, "a", "b", 1)
    status = coordinator.sync()
    assert status.state == "no-remote"
    assert "nobody" in status.describe()[0]


def test_moving_to_another_remote_keeps_everything(world: World) -> None:
    one, two = world.clone("one"), world.clone("two")
    for number, clone in enumerate((one, two)):
        put(world.open(clone), "a", f"k{number}", number)
        assert state_of(world.open(clone)) == "ok"
    new = world.directory / "new.git"
    git("init", "-q", "--bare", str(new), cwd=world.directory)
    assert state_of(world.open(one)) == "ok"  # it has what all have
    put(world.open(two), "a", "queued", 2)
    for clone in (one, two):
        git("config", "csc.remote", str(new), cwd=clone)
        git("config", "csc.dedicated", "true", cwd=clone)
    first, second = world.open(one), world.open(two)
    assert state_of(first) == "branch-deleted"
    assert first.sync(permit=Permit(recreate=True)).state == "ok"
    assert state_of(second) == "ok"
    assert state_of(first) == "ok"
    assert {key: first.retrieve("a", key).value for key in ("k0", "k1", "queued")} == {
        "k0": 0, "k1": 1, "queued": 2
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["url", "pushurl"])
def test_synced_means_the_repository_that_others_fetch(
    world: World, kind: str
) -> None:
    """git pushes to every URL of a remote and fetches from the first: a mirror is not enough."""
    clone, mirror = world.clone("one"), world.directory / "mirror.git"
    git(
        "clone",
        "-q",
        "--bare",
        str(world.remote),
        str(mirror),
        cwd=world.directory,
    )
    if kind == "url":
        git("remote", "set-url", "--add", "origin", str(mirror), cwd=clone)
    else:
        for url in (mirror, world.remote):
            git(
                "remote",
                "set-url",
                "--add",
                "--push",
                "origin",
                str(url),
                cwd=clone,
            )
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", 1)
    assert [state_of(one), state_of(one), state_of(two)] == ["ok", "ok", "ok"]
    assert two.retrieve("s", "k").found


def test_a_push_that_arrives_elsewhere_is_not_called_synced(
    world: World,
) -> None:
    clone, fork = world.clone("one"), world.directory / "fork.git"
    git(
        "clone",
        "-q",
        "--bare",
        str(world.remote),
        str(fork),
        cwd=world.directory,
    )
    git("remote", "set-url", "--push", "origin", str(fork), cwd=clone)
    one = world.open("one")
    op = put(one, "s", "k", 1)
    assert state_of(one) == "pushed-elsewhere"
    assert "fork.git does not show" in one.store.status.detail
    assert one.store.fate(op).where == "local"
    git("remote", "set-url", "--push", "origin", str(world.remote), cwd=clone)
    assert state_of(one) == "ok"


def test_what_a_transport_leaves_running_is_not_waited_for(
    world: World,
) -> None:
    """A helper with a session of its own outlives the time limit, and holds git's output open."""
    ssh = world.directory / "ssh"
    ssh.write_text("#!/bin/sh\nsetsid sleep 60 &\nexit 255\n")
    ssh.chmod(0o755)
    clone = world.clone("one", url="ssh://host/x.git")
    git("config", "core.sshCommand", str(ssh), cwd=clone)
    one = world.open("one", timeout=1)
    put(one, "s", "k", 1)
    began = time.monotonic()
    assert state_of(one) in {"timeout", "unreachable"}
    assert time.monotonic() - began < 20
