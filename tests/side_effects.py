"""Side effects: what must not change because of us, and what must not be called."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.world import World, git


@contextmanager
def untouched(world: World, *clones: Path) -> Iterator[None]:
    """Assert that a `with` block changes nothing in the clones except our directory.

    It also asserts that their hooks, pagers, editors and prompts are not called.
    """
    marks = {plant_canaries(world, clone, clone / ".git") for clone in clones}
    before = [fingerprint(clone) for clone in clones]
    yield
    assert [fingerprint(clone) for clone in clones] == before
    for mark in marks:
        assert not mark.exists(), mark.read_text()


def fingerprint(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time of change and bytes of each file below a directory, except ours."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for directory, below, names in os.walk(root):
        if (
            Path(directory, "state.git").exists()
            and Path(directory).name == "csc"
        ):
            below.clear()
            continue
        for name in names:
            path = Path(directory, name)
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path.relative_to(root))] = (
                status.st_mode,
                status.st_mtime_ns,
                content,
            )
    return found


def plant_canaries(world: World, repository: Path, common: Path) -> Path:
    """Hooks, pager, editor, fsmonitor and prompts that leave a mark if anything calls them."""
    mark, canary = world.directory / "canary-sang", world.directory / "canary"
    canary.write_text(f'#!/bin/sh\necho "$0" >>{mark}\nexit 1\n')
    canary.chmod(0o755)
    (common / "hooks").mkdir(exist_ok=True)
    for hook in (
        "pre-push", "reference-transaction", "post-checkout", "pre-commit", "commit-msg",
        "post-commit", "pre-auto-gc", "post-merge", "fsmonitor-watchman", "pre-receive",
    ):  # fmt: skip
        (common / "hooks" / hook).write_bytes(canary.read_bytes())
        (common / "hooks" / hook).chmod(0o755)
    for name in (
        "core.pager", "core.editor", "core.askPass", "core.fsmonitor", "gpg.program",
        "core.alternateRefsCommand", "diff.external",
    ):  # fmt: skip
        git("config", name, str(canary), cwd=repository)
    hooks = (
        world.directory / "global-hooks"
    )  # a global hooksPath holds in our repository too
    hooks.mkdir(exist_ok=True)
    for hook in (
        "pre-push",
        "pre-auto-gc",
        "post-checkout",
        "post-index-change",
    ):
        shutil.copy2(common / "hooks" / "pre-push", hooks / hook)
    git("config", "--global", "core.hooksPath", str(hooks), cwd=repository)
    git("config", "commit.gpgSign", "true", cwd=repository)
    git("config", "push.gpgSign", "if-asked", cwd=repository)
    return mark
