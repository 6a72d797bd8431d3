"""Changes made without csc-git: commits on the branch by hand, and damage on the disk."""

import subprocess
from pathlib import Path

from tests.world import REF, World, git


def check_out_branch(world: World, path: Path) -> Path:
    """Clone the remote so that the shared branch is checked out, as a person would; the path."""
    git(
        "clone",
        "-q",
        "-b",
        "csc/state",
        str(world.remote),
        str(path),
        cwd=world.directory,
    )
    return path


def edit_by_hand(
    world: World, file: str, content: str, author: str = "Ada Lovelace"
) -> str:
    """Write a file of the branch and push it, as a host's web page does; the commit."""
    work = world.directory / "by-hand"
    if not work.exists():
        check_out_branch(world, work)
    git("pull", "-q", cwd=work)
    (work / file).write_text(content, encoding="utf-8")
    git("add", ".", cwd=work)
    git(
        "commit",
        "-qm",
        "Update file",
        f"--author={author} <ada@example.com>",
        cwd=work,
    )
    git("push", "-q", "origin", f"HEAD:{REF}", cwd=work)
    return git("rev-parse", "HEAD", cwd=work)


def push_tree(
    world: World, tree: str, message: str = "x", *parents: str
) -> None:
    """Put a tree on top of the remote's branch, as anyone who may push can."""
    before = git("rev-parse", REF, cwd=world.remote)
    options = [
        option for parent in (before, *parents) for option in ("-p", parent)
    ]
    made = git("commit-tree", tree, *options, "-m", message, cwd=world.remote)
    git("update-ref", REF, made, cwd=world.remote)


def tree_with_data_a(world: World, lines: bytes) -> str:
    """Write the branch's tree with `data/a` replaced by a tree of these raw bytes; its id."""
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "--literally", "-w", "--stdin"],
        cwd=world.remote, input=lines, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    data = f"040000 tree {made}\ta\n"
    data_tree = make_tree(world, data)
    top = git("ls-tree", REF, cwd=world.remote).splitlines()
    rest = [line for line in top if not line.endswith("\tdata")]
    return make_tree(
        world, "\n".join([*rest, f"040000 tree {data_tree}\tdata"]) + "\n"
    )


def make_tree(world: World, lines: str) -> str:
    """Write a tree from lines as `git ls-tree` prints them; its id."""
    return subprocess.run(
        ["git", "mktree", "--missing"],
        cwd=world.remote, input=lines, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def store_blob(world: World, data: bytes) -> bytes:
    """Write a blob into the remote; its id as a tree contains it."""
    made = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=world.remote, input=data, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    return bytes.fromhex(made.strip())


def break_on_disk(repository: Path, path: str, ref: str = REF) -> None:
    """Damage the stored bytes of a file of the branch, as a failing disk does."""
    wanted = git("rev-parse", f"{ref}:{path}", cwd=repository).strip()
    for listing in (repository / "objects/pack").glob("*.idx"):
        shown = subprocess.run(
            ["git", "show-index"], input=listing.read_bytes(), capture_output=True, check=True,
            cwd=repository,
        ).stdout.decode()  # fmt: skip
        places = {
            name: int(offset)
            for offset, name, *_ in map(str.split, shown.splitlines())
        }
        if wanted in places:
            pack = listing.with_suffix(".pack")
            pack.chmod(0o644)
            with pack.open("r+b") as file:
                file.seek(places[wanted] + 6)
                file.write(b"\xff" * 4)
            return
    raise AssertionError(f"{path} is in no pack")
