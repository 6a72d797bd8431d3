"""The user's repository: its place and its configuration. csc-git never writes to it.

csc-git's own repository is in the common directory of the user's repository. All work trees of the
user's repository share this directory. The user's repository may be of any kind: normal, bare, a
mirror, a linked work tree, a submodule, or one with a separate git directory.
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
"""Matches the names of settings that define how git reaches remotes."""

_OWN: Final = (
    "local",
    "worktree",
    "command",
)
"""If git prints one of these scopes for a setting, the setting belongs to one repository. Settings
with other scopes belong to the user or the system."""

_HOST: Final = re.compile(
    r"^\w+://[^/]*/"  # a URL
    r"|^[^/:]+:(?!//)"  # host:path, as ssh uses it
)
_SEPARATOR: Final = re.compile(r"[/\\]+")
_LONGEST_NAME: Final = 100
"""At most this many characters of a project's name are shown."""


@dataclass(frozen=True)
class ConfigLine:
    """One setting of git's configuration. The name has the form that `git config --list` prints."""

    scope: str
    name: str
    value: str

    @property
    def setting(self) -> tuple[str, str]:
        """The name and the value of the setting."""
        return self.name, self.value


@dataclass(frozen=True)
class Project:
    """The user's repository, in which sessions work together.

    Attributes:
        common_dir: The repository's git directory, which all work trees share. csc-git's own
            directory is in it.
        top: The top directory of the work tree, or the git directory of a bare repository. Relative
            paths of remotes are relative to this directory.
        object_format: `sha1` or `sha256`.
        config: All settings that git uses in this repository; if a name appears twice, the later
            setting is used.
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
        """Return the value of a setting; None if it is not set.

        If the setting has several values, the last value is returned.
        """
        values = self.values(name)
        if not values:
            return None
        return values[-1]

    def values(self, name: str) -> list[str]:
        """Return all values of a setting, since git allows several values for one name."""
        return [line.value for line in self.config if line.name == name]

    def section(self, prefix: str) -> dict[str, str]:
        """Return all settings whose names begin with a prefix.

        The prefix is removed from the names in the result.
        """
        found = {}
        for line in self.config:
            if line.name.startswith(prefix):
                rest = line.name.removeprefix(prefix)
                found[rest] = line.value
        return found

    @property
    def place(self) -> Path:
        """The directory in which git runs: the top of the work tree.

        If this work tree was removed, the main work tree is used. If there is no main work tree,
        the git directory is used.
        """
        if self.top.is_dir():
            return self.top
        main = self.common_dir.parent
        if _is_work_tree(main):
            return main
        return self.common_dir

    def transport_beyond(
        self, ours: Sequence[ConfigLine]
    ) -> list[tuple[str, str]]:
        """Return transport settings that git uses here, but not in csc-git's own repository.

        The result contains the settings of this repository. The result also contains the settings
        of the user that apply only to this repository, for example by a conditional include. The
        user's other settings apply to csc-git's repository too, so they are left out. If such a
        setting were passed again, git could send a header twice, and some servers refuse this.

        Args:
            ours: The configuration that git uses in csc-git's own repository.
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
        """Return the rules `url.<base>.<kind>`.

        The keys of the result are beginnings of URLs. Each value is the text that replaces its key.

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
        """The names of the configured remotes."""
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
        """The user's e-mail address that git writes into commits; None if it is not set."""
        given = os.environ.get("GIT_AUTHOR_EMAIL")
        return given or self.get("user.email")

    def worktrees(self) -> list[Path]:
        """Return the top directories of the repository's work trees; deleted ones are left out.

        gitrepository-layout(5) describes the files in which git lists the work trees.
        """
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
        """Return the times at which the configuration files were last changed.

        Both the repository's and the user's configuration files are included.
        """
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
        """Choose a name for the project, to be shown to people.

        Args:
            remote_url: The remote's URL, or None if there is no remote.

        Returns:
            `owner/repository` of the remote, or the name of the project's directory.
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
    """Return a text without a given beginning and end; empty if the text lacks either of them."""
    if not text.startswith(beginning):
        return ""
    rest = text.removeprefix(beginning)
    if not rest.endswith(end):
        return ""
    return rest.removesuffix(end)


def _hosted_name(url: str) -> str:
    """Return the last two parts of the path in a URL, or the last part of a local path."""
    path = _HOST.sub("", url)
    parts = list(filter(None, _SEPARATOR.split(path)))
    shown = 2
    if path == url:  # the URL contains no host
        shown = 1
    return "/".join(parts[-shown:])


def _is_work_tree(place: Path) -> bool:
    git_file = place / ".git"
    return git_file.exists()


def _written(file: Path) -> int:
    """Return a file's time of last change, in nanoseconds since the epoch; 0 if it is missing."""
    if not file.exists():
        return 0
    return file.stat().st_mtime_ns
