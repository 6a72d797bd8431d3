"""The user's repository: where it is and how it is configured. Never written to.

Our own repository lives in its common directory, which all its worktrees share, whatever kind of
repository it is: normal, bare, mirror, worktree, submodule, separate git directory.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dulwich.errors import NotGitRepository
from dulwich.repo import Repo

from csc_git.errors import (
    ForeignRepository,
    InvalidSetting,
    NotARepository,
    SetupError,
)
from csc_git.git.child import GitMissing, run_git
from csc_git.text import readable

_LIST: Final = ("config", "--list", "--null", "--show-scope", "--includes")
_HANDED_OVER: Final = re.compile(
    r"(?:credential|http|url|ssh)\.|core\.(?:sshcommand|gitproxy)$"
)
_OWN: Final = frozenset({"local", "worktree", "command"})


@dataclass(frozen=True)
class ConfigLine:
    """One line of git's configuration; the name is as `git config --list` prints it."""

    scope: str
    name: str
    value: str


@dataclass(frozen=True)
class Project:
    """A repository that sessions coordinate on.

    Attributes:
        common_dir: Shared by all worktrees; ours is a subdirectory of it.
        top: The work tree's top, or the git directory of a bare repository. Relative remote
            paths are relative to it.
        object_format: `sha1` or `sha256`.
        config: All of git's configuration that holds here, later lines winning.
        has_work_tree: Whether `top` is one.
    """

    common_dir: Path
    top: Path
    object_format: str = "sha1"
    config: tuple[ConfigLine, ...] = field(default=(), repr=False)
    has_work_tree: bool = False

    def get(self, name: str) -> str | None:
        """A setting's value, the last one given."""
        return next(
            (line.value for line in reversed(self.config) if line.name == name),
            None,
        )

    def values(self, name: str) -> list[str]:
        """All values of a setting that may be given several times."""
        return [line.value for line in self.config if line.name == name]

    def section(self, prefix: str) -> dict[str, str]:
        """All settings below a prefix, by the rest of their names."""
        lines = (line for line in self.config if line.name.startswith(prefix))
        return {line.name.removeprefix(prefix): line.value for line in lines}

    @property
    def place(self) -> Path:
        """Where git runs: the top of the work tree, or the main one's if this one was removed."""
        main = self.common_dir.parent
        if self.top.is_dir():
            return self.top
        return main if (main / ".git").exists() else self.common_dir

    def transport_beyond(
        self, ours: Sequence[ConfigLine]
    ) -> list[tuple[str, str]]:
        """Transport settings that are valid here, but not in our own repository.

        These are the settings of this repository, and settings of the user that are valid only
        here, for instance by a conditional include. The other settings of the user are valid in
        our repository too. They are left out, since some servers refuse a header that is sent
        twice.

        Args:
            ours: The configuration that holds in our repository.
        """
        there = Counter((line.name, line.value) for line in ours)
        found: list[tuple[str, str]] = []
        for line in self.config:
            if not _HANDED_OVER.match(line.name):
                continue
            if line.scope not in _OWN and there[line.name, line.value] > 0:
                there[line.name, line.value] -= 1
            else:
                found.append((line.name, line.value))
        return found

    def rewriting_rules(self, kind: str) -> dict[str, str]:
        """The rules of `url.<base>.<kind>`: beginnings of URLs, and what stands for them.

        Args:
            kind: `insteadof` or `pushinsteadof`.
        """
        rules: dict[str, str] = {}
        for line in self.config:
            if found := re.fullmatch(rf"url\.(.+)\.{kind}", line.name):
                rules[line.value] = found[1]
        return rules

    @property
    def remotes(self) -> list[str]:
        """Names of the configured remotes."""
        found = (
            re.fullmatch(r"remote\.(.+)\.url", line.name)
            for line in self.config
        )
        return list(dict.fromkeys(match[1] for match in found if match))

    @property
    def email(self) -> str | None:
        """The user's own e-mail address, as commits carry it."""
        return os.environ.get("GIT_AUTHOR_EMAIL") or self.get("user.email")

    def worktrees(self) -> list[Path]:
        """The tops of all its work trees that exist; see gitrepository-layout(5)."""
        places = (
            [self.top, self.common_dir.parent] if self.has_work_tree else []
        )
        for file in sorted(self.common_dir.glob("worktrees/*/gitdir")):
            with suppress(OSError, ValueError):
                places.append(
                    Path(file.read_text(encoding="utf-8").strip()).parent
                )
        return [
            place
            for place in dict.fromkeys(places)
            if (place / ".git").exists()
        ]

    def config_stamp(self) -> tuple[int, ...]:
        """Changes when a configuration file of the repository or the user is written."""
        home = Path.home()
        xdg = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        files = (
            self.common_dir / "config",
            home / ".gitconfig",
            xdg / "git" / "config",
        )
        return tuple(
            file.stat().st_mtime_ns if file.exists() else 0 for file in files
        )

    def name(self, remote_url: str | None) -> str:
        """What people call it: `owner/repository` of the remote, or the directory's name."""
        if remote_url:
            hosted = re.sub(r"^\w+://[^/]*/|^[^/:]+:(?!//)", "", remote_url)
            parts = [part for part in re.split(r"[/\\]+", hosted) if part]
            tail = parts[-2:] if hosted != remote_url else parts[-1:]
            return readable("/".join(tail).removesuffix(".git"), 100)
        top = self.top.parent if self.top.name == ".git" else self.top
        return readable(top.name.removesuffix(".git"), 100)


def discover(start: Path) -> Project:
    """The repository at or above a directory.

    Raises:
        NotARepository: there is none.
        ForeignRepository: it belongs to somebody else, and git would not touch it either.
    """
    try:
        found = _ask_git(start)
    except GitMissing:
        found = _ask_dulwich(start)
    if not os.access(found.common_dir, os.W_OK):
        raise NotARepository(
            f"{found.common_dir} can't be written by you",
            then="Give yourself write permission there, or clone the repository yourself",
        )
    return found


def _ask_git(start: Path) -> Project:
    asked = ["--path-format=absolute", "--git-common-dir", "--absolute-git-dir"]
    answer = run_git(["rev-parse", *asked, "--show-object-format"], cwd=start)
    if not answer.ok:
        raise _refusal(start, answer.err)
    common, git_dir, object_format = answer.out.decode(
        errors="surrogateescape"
    ).split("\n")[:3]
    top = run_git(
        ["rev-parse", "--path-format=absolute", "--show-toplevel"], cwd=start
    )
    lines = run_git(_LIST, cwd=start)
    if not lines.ok:
        raise InvalidSetting(
            f"git can't read its configuration: {readable(lines.err)}",
            then="Mend the file that git names, then start again",
        )
    work_tree = (
        top.out.decode(errors="surrogateescape").rstrip("\n") if top.ok else ""
    )
    return Project(
        common_dir=Path(common),
        top=Path(work_tree or git_dir),
        object_format=object_format,
        config=tuple(_lines(lines.out)),
        has_work_tree=bool(work_tree),
    )


def configuration(git_dir: Path) -> list[ConfigLine]:
    """The configuration that is valid in a repository; empty if git fails."""
    try:
        lines = run_git(_LIST, cwd=git_dir, git_dir=git_dir)
    except GitMissing:
        return []
    return list(_lines(lines.out)) if lines.ok else []


def _refusal(start: Path, stderr: str) -> SetupError:
    start = start.resolve()
    if "bad config" in stderr:
        return InvalidSetting(
            f"git can't read its configuration: {readable(stderr)}",
            then="Mend the file that git names, then start again",
        )
    if "dubious ownership" in stderr:
        return ForeignRepository(
            f"The repository at {start} belongs to another user, and git refuses it",
            then="If you trust it: git config --global --add safe.directory <its path>",
        )
    return NotARepository(
        f"git finds no repository at {start}: {readable(stderr)}"
    )


def _lines(output: bytes) -> Iterator[ConfigLine]:
    fields = output.decode(errors="surrogateescape").split("\0")
    for scope, line in zip(fields[::2], fields[1::2], strict=False):
        name, newline, value = line.partition("\n")
        yield ConfigLine(scope, name, value if newline else "true")


def _ask_dulwich(start: Path) -> Project:
    """The same without `git` on the machine: local work only, so less of it is needed."""
    try:
        repo = Repo.discover(str(start))
    except NotGitRepository:
        raise NotARepository(f"There is no Git repository at {start}") from None
    with repo:
        common = Path(repo.commondir()).resolve()
        if hasattr(os, "geteuid") and common.stat().st_uid != os.geteuid():
            raise ForeignRepository(
                f"The repository at {start} belongs to another user",
                then="Clone it yourself and work in your clone",
            )
        top = Path(repo.path).resolve()
        lines = tuple(_dulwich_lines(repo))
        return Project(
            common,
            top,
            repo.object_format.name,
            lines,
            has_work_tree=not repo.bare,
        )


def _dulwich_lines(repo: Repo) -> Iterator[ConfigLine]:
    for file in reversed(repo.get_config_stack().backends):
        for section in file.sections():
            values: Mapping[bytes, bytes] = dict(file.items(section))
            for name, value in values.items():
                parts = [
                    part.decode(errors="replace") for part in (*section, name)
                ]
                full = ".".join(
                    [parts[0].lower(), *parts[1:-1], parts[-1].lower()]
                )
                yield ConfigLine(
                    "unknown", full, value.decode(errors="replace")
                )
