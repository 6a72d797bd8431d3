"""Every kind of repository: the store works in it, and nothing else of it is touched."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from csc_git.coordinator.factory import open_coordinator
from csc_git.doctor.project import check_project
from csc_git.errors import ForeignRepository, NotARepository, StorageFailed
from csc_git.project.discovery import discover
from csc_git.project.project import Project
from tests.git_servers import http_server
from tests.side_effects import fingerprint, plant_canaries
from tests.world import World, git, put, state_of

Make = Callable[[World], Path]


def _normal(world: World) -> Path:
    return world.clone("user")


def _worktree(world: World) -> Path:
    main = world.clone("main")
    git(
        "worktree",
        "add",
        "-q",
        str(world.directory / "tree"),
        "-b",
        "side",
        cwd=main,
    )
    return world.directory / "tree"


def _bare(world: World) -> Path:
    world.make_remote()
    git(
        "clone",
        "-q",
        "--bare",
        str(world.remote),
        "bare.git",
        cwd=world.directory,
    )
    return world.directory / "bare.git"


def _mirror(world: World) -> Path:
    world.make_remote()
    git(
        "clone",
        "-q",
        "--mirror",
        str(world.remote),
        "mirror.git",
        cwd=world.directory,
    )
    return world.directory / "mirror.git"


def _submodule(world: World) -> Path:
    outer = world.clone("outer")
    git("submodule", "add", "-q", str(world.remote), "inner", cwd=outer)
    return outer / "inner"


def _separate(world: World) -> Path:
    world.make_remote()
    where = str(world.directory / "elsewhere.git")
    git(
        "clone",
        "-q",
        "--separate-git-dir",
        where,
        str(world.remote),
        "sep",
        cwd=world.directory,
    )
    return world.directory / "sep"


def _shallow(world: World) -> Path:
    world.make_remote()
    git(
        "clone",
        "-q",
        "--depth=1",
        f"file://{world.remote}",
        "shallow",
        cwd=world.directory,
    )
    return world.directory / "shallow"


def _partial(world: World) -> Path:
    world.make_remote()
    git("config", "uploadpack.allowFilter", "true", cwd=world.remote)
    options = ["--filter=blob:none", f"file://{world.remote}"]
    git("clone", "-q", *options, "partial", cwd=world.directory)
    return world.directory / "partial"


def _unborn(world: World) -> Path:
    world.make_remote()
    git("init", "-q", "unborn", cwd=world.directory)
    git(
        "remote",
        "add",
        "origin",
        str(world.remote),
        cwd=world.directory / "unborn",
    )
    return world.directory / "unborn"


KINDS: dict[str, Make] = {
    "normal": _normal, "worktree": _worktree, "bare": _bare, "mirror": _mirror,
    "submodule": _submodule, "separate": _separate, "shallow": _shallow, "partial": _partial,
    "unborn": _unborn,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_doctor_names_the_kind_of_repository(
    world: World, kind: str
) -> None:
    bare, apart = "(bare)", "(clone; its git directory"
    words = {
        "worktree": "(worktree; shared by all",
        "bare": bare,
        "mirror": bare,
    }
    words |= {"submodule": apart, "separate": apart}
    message = next(check_project(discover(KINDS[kind](world)))).message
    assert words.get(kind, "(clone)") in message


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_repository_works_and_stays_untouched(
    world: World, kind: str
) -> None:
    path = KINDS[kind](world)
    common = Path(
        git("rev-parse", "--path-format=absolute", "--git-common-dir", cwd=path)
    )
    other = world.open("other")
    mark = plant_canaries(world, path, common)
    roots = {path, common}
    before = [fingerprint(root) for root in sorted(roots)]

    coordinator = world.open(path.relative_to(world.directory))
    assert coordinator.store.repository.path == common / "csc" / "state.git"
    signed = coordinator.authors.sign_on()
    author = coordinator.authors.session(signed.session)
    coordinator.edits.put(author, "issue:1", "status", "open")
    assert state_of(coordinator) == "ok"
    coordinator.edits.delete(author, "issue:1", "status")
    coordinator.authors.sign_off()
    assert state_of(coordinator) == "ok"
    assert state_of(other) == "ok"
    put(other, "from", "other", 1)
    assert state_of(other) == "ok"
    assert state_of(coordinator) == "ok"
    assert coordinator.values.retrieve("from", "other").value == 1

    assert [fingerprint(root) for root in sorted(roots)] == before
    assert not mark.exists(), mark.read_text()
    git("fsck", "--strict", cwd=coordinator.store.repository.path)


def test_global_hooks_do_not_run_in_our_repository(
    world: World, tmp_path: Path
) -> None:
    """A reference-transaction hook would run for every fetch, a pre-push hook for every push."""
    mark, hooks = tmp_path / "mark", tmp_path / "hooks"
    hooks.mkdir()
    with http_server(tmp_path) as server:
        coordinator = world.open(world.clone("one", server.url("remote.git")))
        put(coordinator, "a", "b", 1)
        assert state_of(coordinator) == "ok"
        for name in (
            "reference-transaction",
            "pre-push",
            "post-index-change",
            "pre-auto-gc",
        ):
            (hooks / name).write_text(f"#!/bin/sh\necho {name} >>{mark}\n")
            (hooks / name).chmod(0o755)
        git("config", "--global", "core.hooksPath", str(hooks), cwd=tmp_path)
        put(coordinator, "a", "c", 1)
        assert state_of(coordinator) == "ok"
        git("update-ref", "refs/heads/seed", "main", cwd=tmp_path / "seed")
    assert (
        mark.read_text().split() == ["reference-transaction"] * 2
    )  # of the last line only


def test_a_ref_moves_only_from_its_expected_commit(world: World) -> None:
    one = world.open("one", sync=False)
    put(one, "a", "b", 1)
    first = one.store.branch.tip
    put(one, "a", "c", 1)
    repository, tip = one.store.repository, one.store.branch.tip
    assert first
    assert tip
    with repository.writing():
        for old in (first, None):
            with pytest.raises(StorageFailed, match="can't be moved"):
                repository.set_ref("refs/heads/csc/state", old, first)
        repository.set_ref("refs/heads/csc/state", tip, tip)
    assert one.store.branch.tip == tip


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("git@github.com:acme/widgets.git", "acme/widgets"),
        ("https://github.com/acme/widgets", "acme/widgets"),
        ("https://t0ken@example.com/widgets.git", "widgets"),
        ("https://ada:t0ken@example.com/acme/widgets.git", "acme/widgets"),
        ("ssh://git@example.com:2222/a/b/c.git", "b/c"),
        ("/srv/git/widgets.git", "widgets"),
        ("../widgets.git/", "widgets"),
        (None, "here"),
    ],
)
def test_a_project_is_named_after_its_remote(
    tmp_path: Path, url: str | None, name: str
) -> None:
    assert (
        Project(tmp_path / "here" / ".git", tmp_path / "here").name(url) == name
    )


def test_all_worktrees_share_one_store(world: World) -> None:
    tree = _worktree(world)
    put(world.open("main", machine="m"), "a", "b", 1)
    assert world.open(tree, machine="m").values.retrieve("a", "b").value == 1


def test_a_sha256_repository_gets_a_sha256_store(tmp_path: Path) -> None:
    world = World(tmp_path, "sha256")
    one, two = world.open("one"), world.open("two")
    for number in range(40):  # enough for loose objects and for packs
        put(one, "a", f"k{number}", number)
        put(two, "b", f"k{number}", number)
    assert [state_of(c) for c in (one, two, one)] == ["ok"] * 3
    assert one.store.repository.object_format == "sha256"
    assert len(one.values.list_keys("b").keys) == 40
    git("fsck", "--strict", cwd=one.store.repository.path)
    world.close()


def test_the_store_has_the_object_format_of_its_remote(
    world: World, tmp_path: Path
) -> None:
    clone = world.clone("one")
    (tmp_path / "state").mkdir()
    other = World(tmp_path / "state", "sha256")
    git("config", "csc.remote", str(other.make_remote()), cwd=clone)
    coordinator = world.open("one")
    put(coordinator, "a", "b", 1)
    assert state_of(coordinator) == "ok"
    assert coordinator.store.repository.object_format == "sha256"
    assert len(other.log()) == 2


def test_local_edits_work_without_a_remote(world: World) -> None:
    git("init", "-q", "alone", cwd=world.directory)
    coordinator = world.open("alone")
    put(coordinator, "a", "b", 1)
    assert state_of(coordinator) == "no-remote"
    assert coordinator.values.retrieve("a", "b").value == 1
    world.make_remote()
    git(
        "remote",
        "add",
        "origin",
        str(world.remote),
        cwd=world.directory / "alone",
    )
    assert state_of(coordinator) == "ok"  # and a remote added later is found
    assert len(world.log()) == 2


def test_local_edits_work_without_git(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = world.clone("one")
    git("config", "csc.machine", "lonely", cwd=clone)
    monkeypatch.setenv("PATH", str(world.directory))
    coordinator = open_coordinator(clone)
    put(coordinator, "a", "b", 1)
    assert state_of(coordinator) == "no-git"
    assert coordinator.values.retrieve("a", "b").value == 1
    assert coordinator.clone.machine == "lonely"
    coordinator.close()


def test_a_directory_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match="no repository"):
        open_coordinator(tmp_path)


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give a directory away"
)
def test_another_users_repository_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = world.clone("theirs")
    for path in (clone, clone / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(ForeignRepository, match="another user"):
        open_coordinator(clone)
    monkeypatch.setenv(
        "PATH", str(world.directory)
    )  # without git we check ourselves
    with pytest.raises(ForeignRepository, match="another user"):
        open_coordinator(clone)
    assert not (clone / ".git" / "csc").exists()


def test_the_users_maintenance_does_not_touch_our_store(world: World) -> None:
    coordinator = world.open("one")
    put(coordinator, "a", "b", 1)
    clone = world.directory / "one"
    for command in (
        ["gc", "-q", "--prune=now", "--aggressive"], ["pack-refs", "--all", "--prune"],
        ["fetch", "-q", "--prune"], ["repack", "-adq"],
        ["reflog", "expire", "--expire=now", "--all"],
    ):  # fmt: skip
        git(*command, cwd=clone)
    put(coordinator, "a", "c", 2)
    assert coordinator.values.list_keys("a").keys == ["b", "c"]
    assert state_of(coordinator) == "ok"
