"""The user's repository: where it is and how it is configured. csc-git never writes to it.

Our own repository is in its common directory, which all its work trees share. It may be of any
kind: normal, bare, a mirror, a linked work tree, a submodule, with a separate git directory.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from csc_git.text import readable

_HANDED_OVER: Final = re.compile(
    r"(?:credential|http|url|ssh)\.|core\.(?:sshcommand|gitproxy)$"
)
"""Settings that define how remotes are reached."""

_OWN: Final = (
    "local",
    "worktree",
    "command",
)
"""Scopes of settings of this repository, as git calls them; others are the user's or system's."""

_HOST: Final = re.compile(
    r"^\w+://[^/]*/"  # a URL
    r"|^[^/:]+:(?!//)"  # host:path, as of ssh
)
_SEPARATOR: Final = re.compile(r"[/\\]+")
_LONGEST_NAME: Final = 100
"""Most characters of a project's name that are shown."""


@dataclass(frozen=True)
class ConfigLine:
    """One line of git's configuration; the name is as `git config --list` prints it."""

    scope: str
    name: str
    value: str

    @property
    def setting(self) -> tuple[str, str]:
        """Its name and value."""
        return self.name, self.value


@dataclass(frozen=True)
class Project:
    """A repository that sessions coordinate on.

    Attributes:
        common_dir: Its git directory, which all work trees share; ours is in it.
        top: The work tree's top, or the git directory of a bare repository. Relative remote
            paths are relative to it.
        object_format: `sha1` or `sha256`.
        config: All of git's configuration that is valid here; a later line overrides an earlier.
        has_work_tree: Whether `top` is a work tree.
    """

    common_dir: Path
    top: Path
    object_format: str = "sha1"
    config: tuple[ConfigLine, ...] = field(
        default=(),
        repr=False,
    )
    has_work_tree: bool = False

    def get(self, name: str) -> str | None:
        """Return a setting's value, the last one given; None if it is not set."""
        values = self.values(name)
        if not values:
            return None
        return values[-1]

    def values(self, name: str) -> list[str]:
        """Return all values of a setting that may be given several times."""
        return [line.value for line in self.config if line.name == name]

    def section(self, prefix: str) -> dict[str, str]:
        """Return all settings below a prefix, by the rest of their names."""
        found = {}
        for line in self.config:
            if line.name.startswith(prefix):
                rest = line.name.removeprefix(prefix)
                found[rest] = line.value
        return found

    @property
    def place(self) -> Path:
        """Where git runs: the top of the work tree, or the main one's if this one was removed."""
        if self.top.is_dir():
            return self.top
        main = self.common_dir.parent
        if _is_work_tree(main):
            return main
        return self.common_dir

    def transport_beyond(
        self, ours: Sequence[ConfigLine]
    ) -> list[tuple[str, str]]:
        """Return transport settings that are valid here, but not in our own repository.

        These are the settings of this repository, and settings of the user that are valid only
        here, for instance by a conditional include. The other settings of the user are valid in
        our repository too. They are left out, since some servers refuse a header that is sent
        twice.

        Args:
            ours: The configuration that is valid in our repository.
        """
        there = Counter(line.setting for line in ours)
        found = list[tuple[str, str]]()
        for line in self.config:
            if not _HANDED_OVER.match(line.name):
                continue
            setting = line.setting
            is_own = line.scope in _OWN
            if is_own or there[setting] <= 0:
                found.append(setting)
            else:
                there[setting] -= 1
        return found

    def rewriting_rules(self, kind: str) -> dict[str, str]:
        """Return the rules of `url.<base>.<kind>`: the base by the beginning that it replaces.

        Args:
            kind: `insteadof` or `pushinsteadof`.
        """
        rules = {}
        for line in self.config:
            base = _between(
                "url.",
                line.name,
                f".{kind}",
            )
            if base:
                rules[line.value] = base
        return rules

    @property
    def remotes(self) -> list[str]:
        """Names of the configured remotes."""
        names = list[str]()
        for line in self.config:
            name = _between(
                "remote.",
                line.name,
                ".url",
            )
            if name and name not in names:
                names.append(name)
        return names

    @property
    def email(self) -> str | None:
        """The user's own e-mail address, as commits have it; None if it is not set."""
        given = os.environ.get("GIT_AUTHOR_EMAIL")
        return given or self.get("user.email")

    def worktrees(self) -> list[Path]:
        """Return the tops of all its work trees that exist; see gitrepository-layout(5)."""
        places = list[Path]()
        if self.has_work_tree:
            places += [
                self.top,
                self.common_dir.parent,
            ]
        files = self.common_dir.glob("worktrees/*/gitdir")
        for file in sorted(files):
            with suppress(OSError, ValueError):
                text = file.read_text(encoding="utf-8")
                git_file = Path(text.strip())
                places.append(git_file.parent)
        unique = dict.fromkeys(places)
        return [place for place in unique if _is_work_tree(place)]

    def config_stamp(self) -> tuple[int, ...]:
        """Return what changes when a configuration file of the repository or user is written."""
        home = Path.home()
        given = os.environ.get("XDG_CONFIG_HOME")
        xdg = home / ".config"
        if given:
            xdg = Path(given)
        files = (
            self.common_dir / "config",
            home / ".gitconfig",
            xdg / "git" / "config",
        )
        return tuple(_written(file) for file in files)

    def name(self, remote_url: str | None) -> str:
        """Choose a name to show people.

        Args:
            remote_url: The remote's URL, or None if there is no remote.

        Returns:
            `owner/repository` of the remote, or the directory's name.
        """
        if remote_url:
            name = _hosted_name(remote_url)
        elif self.top.name == ".git":
            name = self.top.parent.name
        else:
            name = self.top.name
        name = name.removesuffix(".git")
        return readable(name, _LONGEST_NAME)


def _between(
    beginning: str,
    text: str,
    end: str,
) -> str:
    """Return what is between a beginning and an end; empty if a text does not have both."""
    if not text.startswith(beginning):
        return ""
    rest = text.removeprefix(beginning)
    if not rest.endswith(end):
        return ""
    return rest.removesuffix(end)


def _hosted_name(url: str) -> str:
    """Return the last two parts of the path on a host, or the last part of a local path."""
    path = _HOST.sub("", url)
    parts = list(filter(None, _SEPARATOR.split(path)))
    shown = 2
    if path == url:  # it names no host
        shown = 1
    return "/".join(parts[-shown:])


def _is_work_tree(place: Path) -> bool:
    git_file = place / ".git"
    return git_file.exists()


def _written(file: Path) -> int:
    """Return when a file was written, in nanoseconds since the epoch; 0 if it does not exist."""
    if not file.exists():
        return 0
    return file.stat().st_mtime_ns
