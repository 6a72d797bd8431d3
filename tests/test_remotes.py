"""Remotes of every kind, reached as the user's own git reaches them."""

import time
from pathlib import Path

import pytest

from csc_git.store.sync.recovery import Permit
from tests.agents import agent, run
from tests.commands import csc_here
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
    assert first.values.list_keys("from").keys == ["first", "second"]
    assert len(world.log()) == 3


def test_clones_share_through_a_path(world: World) -> None:
    _shared(world, world.clone("one"), world.clone("two"))


def test_clones_share_through_a_relative_path(world: World) -> None:
    _shared(
        world,
        world.clone("one", "../remote.git"),
        world.clone("two", "../remote.git"),
    )


def test_clones_share_through_a_file_url(world: World) -> None:
    url = f"file://{world.remote}"
    _shared(world, world.clone("one", url), world.clone("two", url))


def test_clones_share_through_git_daemon(world: World, tmp_path: Path) -> None:
    with git_daemon(tmp_path) as url:
        _shared(
            world,
            *(
                world.clone(name, f"{url}/remote.git")
                for name in ("one", "two")
            ),
        )


def test_http_uses_the_repositorys_credential_helper(
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


def test_http_uses_the_repositorys_extra_header(
    world: World, tmp_path: Path
) -> None:
    """CI systems pass their tokens so."""
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


def test_ssh_uses_the_agent_and_the_host_alias(
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


def test_instead_of_rewrites_a_url_once(world: World) -> None:
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


def test_push_instead_of_applies_to_pushes_only(
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


def test_http_uses_the_repositorys_proxy(world: World, tmp_path: Path) -> None:
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
        first.syncing.sync()
        assert any(
            request.startswith(f"GET {url}/info/refs")
            for request in proxy.requests
        )


def test_the_remote_can_be_a_name_or_a_url(
    world: World, tmp_path: Path
) -> None:
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
    assert second.values.retrieve("a", "b").value == 1
    assert git("branch", "--list", "csc/*", cwd=world.remote) == ""


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/pwned", "ftp://example.com/x.git", "foo://x/y", "fd::17",
        "http::http://x/y", "-oProxyCommand=x", "rsync://x/y",
    ],
)  # fmt: skip
def test_urls_of_other_schemes_are_refused(world: World, url: str) -> None:
    clone = world.clone("one")
    git("config", "remote.origin.url", url, cwd=clone)
    git("config", "protocol.allow", "always", cwd=clone)
    coordinator = world.open("one")
    put(coordinator, "a", "b", 1)
    status = coordinator.syncing.sync()
    assert status.state == "bad-url"
    assert "csc.remote" in status.describe()[1]


def test_a_scheme_brought_in_by_instead_of_is_refused(world: World) -> None:
    clone = world.clone("one", "forge:x")
    git("config", "url.ext::sh -c exit% .insteadOf", "forge:", cwd=clone)
    git("config", "protocol.ext.allow", "always", cwd=clone)
    coordinator = world.open("one")
    put(coordinator, "a", "b", 1)
    assert state_of(coordinator) == "bad-url"


def test_an_unknown_remote_name_is_reported(world: World) -> None:
    coordinator = world.open("one", remote="nobody")
    put(coordinator, "a", "b", 1)
    status = coordinator.syncing.sync()
    assert status.state == "no-remote"
    assert "nobody" in status.describe()[0]


def test_moving_to_another_remote_keeps_everything(world: World) -> None:
    one, two = world.clone("one"), world.clone("two")
    for number, clone in enumerate((one, two)):
        put(world.open(clone), "a", f"k{number}", number)
        assert state_of(world.open(clone)) == "ok"
    new = world.directory / "new.git"
    git("init", "-q", "--bare", str(new), cwd=world.directory)
    assert state_of(world.open(one)) == "ok"  # it has all edits
    put(world.open(two), "a", "queued", 2)
    for clone in (one, two):
        git("config", "csc.remote", str(new), cwd=clone)
        git("config", "csc.dedicated", "true", cwd=clone)
    first, second = world.open(one), world.open(two)
    assert state_of(first) == "branch-deleted"
    assert first.syncing.sync(permit=Permit(recreate=True)).state == "ok"
    assert state_of(second) == "ok"
    assert state_of(first) == "ok"
    assert {key: first.values.retrieve("a", key).value for key in ("k0", "k1", "queued")} == {
        "k0": 0, "k1": 1, "queued": 2
    }  # fmt: skip


def test_a_sync_does_not_wait_for_a_transports_orphans(
    world: World,
) -> None:
    """A helper in another process session outlives the time limit, and keeps git's output open."""
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


@pytest.mark.parametrize("url", ["ftp://h/x", "ext::sh -c id", "-x", ""])
def test_an_unusable_remote_is_refused_before_storing(
    clone_cwd: Path, url: str
) -> None:
    assert "can't be used" in csc_here(
        "set", "a", "k", "1", f"--remote={url}", code=1
    )
    assert csc_here("ls") == ""
    git("config", "csc.remote", url or "-", cwd=clone_cwd)

    async def scenario() -> None:
        async with agent(clone_cwd) as claude:
            assert "csc.remote" in await claude.refused("sign_on")

    run(scenario)
