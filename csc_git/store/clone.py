"""A clone: one git common directory, with a random id and the name of its machine."""

import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from csc_git.git.durable import read_json, write_json
from csc_git.git.lock import FileLock


@dataclass(frozen=True)
class Clone:
    """Who this clone is.

    Attributes:
        id: Random, made at first use.
        machine: Fixed at first use, so that a laptop that changes its host name with the network
            stays one machine.
        inode: Of the directory; a copy of the whole repository has another, and gets another id.
    """

    id: str
    machine: str
    inode: int


def identify(directory: Path, machine: str | None, host: str) -> Clone:
    """Who the clone is that keeps its files in `directory`, deciding it at first use.

    Args:
        directory: The `csc` directory, which must exist.
        machine: The configured name; it wins over the one fixed before.
        host: The name to fix if none is configured.
    """
    with FileLock(directory / "clone.lock").held():
        inode = directory.stat().st_ino
        known = _load(directory / "clone.json")
        if known is None or known.inode != inode:
            known = Clone(uuid.uuid4().hex, known.machine if known else host, inode)
            write_json(directory / "clone.json", asdict(known), durable=True)
        if machine is not None and machine != known.machine:
            known = Clone(known.id, machine, inode)
            write_json(directory / "clone.json", asdict(known), durable=True)
        return known


def recall(directory: Path) -> Clone | None:
    """Who the clone is, if that was decided; changes nothing."""
    known = _load(directory / "clone.json")
    return known if known is not None and known.inode == directory.stat().st_ino else None


def _load(path: Path) -> Clone | None:
    says = read_json(path)
    try:
        return Clone(str(says["id"]), str(says["machine"]), int(says["inode"]))
    except (KeyError, TypeError, ValueError):
        return None
