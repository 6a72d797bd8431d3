"""URLs: find a remote's URL in the user's configuration, and check that csc-git may use it."""

import re
from pathlib import Path
from typing import Final

from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import GitMissing
from csc_git.processes.git import run_git
from csc_git.project.project import Project

SCHEMES: Final = "file:git:http:https:ssh"
"""The schemes of URLs that csc-git uses, in the form of git's variable `GIT_ALLOW_PROTOCOL`."""

_SCHEME: Final = re.compile(r"([A-Za-z0-9+.-]+)(::|://)")
_LOCATION: Final = re.compile(r"[:/\\]")
"""Matches a character that can be in a URL or a path, but not in the name of a remote."""

_PLAIN_BRANCH: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*"
)
"""If there is no git to check the name of a branch, the name must match this expression."""

_FORMATS: Final = {
    40: "sha1",
    64: "sha256",
}
"""The object format for each length of an object id, in hexadecimal digits."""

_OPTIONS: Final = (
    "url",
    "pushurl",
    "proxy",
    "proxyauthmethod",
    "uploadpack",
    "receivepack",
)


def settings_of(
    project: Project,
    remote: str | None,
    ours: str,
) -> list[tuple[str, str]]:
    """Make settings that define a remote for csc-git, with the URLs of one of the user's remotes.

    Args:
        project: The user's repository.
        remote: The name of a remote of the project, or a URL. If None, the default remote is used.
        ours: The name of csc-git's remote.

    Returns:
        Names and values of git's settings.

    Raises:
        RemoteFailure: the project has no such remote.
    """
    name = remote or default_remote(project)
    if not name:
        choices = _choices(project)
        raise RemoteFailure(RemoteState.NO_REMOTE, choices)
    if name in project.remotes:
        theirs = _options_of(project, name)
    elif _LOCATION.search(name):
        theirs = {"url": name}
    else:
        detail = f"no remote is called {name}"
        raise RemoteFailure(RemoteState.NO_REMOTE, detail)
    settings = []
    for option, value in theirs.items():
        setting = f"remote.{ours}.{option}"
        settings.append((setting, value))
    return settings


def _options_of(
    project: Project,
    name: str,
) -> dict[str, str]:
    """Return the options of a remote that csc-git's own remote needs too."""
    options = project.section(f"remote.{name}.")
    options |= _urls(project, name)
    found: dict[str, str] = {}
    for option in _OPTIONS:
        if option in options:
            found[option] = options[option]
    return found


def _choices(project: Project) -> str:
    """Describe a project's remotes if there is no default remote; empty if there are no remotes."""
    if not project.remotes:
        return ""
    names = " and ".join(project.remotes)
    return f"it has the remotes {names}; which one is meant?"


def _urls(
    project: Project,
    name: str,
) -> dict[str, str]:
    """Return the URL from which a remote is fetched, and its URL for pushes if that is set.

    If a remote has several URLs, git fetches from the first URL and pushes to all of them. csc-git
    needs one repository for both: other clones must be able to fetch what this clone pushed.
    """
    url, *_ = project.values(f"remote.{name}.url")
    push_urls = project.values(f"remote.{name}.pushurl")
    urls = {"url": url}
    if url in push_urls:
        urls["pushurl"] = url
    elif push_urls:
        urls["pushurl"] = push_urls[0]
    return urls


def default_remote(project: Project) -> str | None:
    """Return the name of the default remote: `origin`, or the only remote; None in other cases."""
    names = project.remotes
    if "origin" in names:
        return "origin"
    if len(names) == 1:
        return names[0]
    return None


def is_usable_url(url: str) -> bool:
    """Check whether git can reach a URL by its own transports, without another program."""
    try:
        check_url(url)
    except RemoteFailure:
        return False
    return True


def check_url(url: str) -> None:
    """Raise an error if git would run a URL as a command, or need another program to reach it.

    Raises:
        RemoteFailure: csc-git does not use URLs of this kind.
    """
    is_usable = (
        url != ""
        and url.isprintable()
        and not url.startswith("-")
        and not _is_foreign(url)
    )
    if not is_usable:
        raise RemoteFailure(RemoteState.BAD_URL, url)


def _is_foreign(url: str) -> bool:
    """Check whether git would need another program to reach a URL, because of its scheme."""
    found = _SCHEME.match(url)
    if found is None:
        return False
    scheme, separator = found.groups()
    if separator == "::":
        return True
    return scheme.lower() not in SCHEMES.split(":")


def listed_format(
    project: Project,
    url: str,
    timeout: float,
) -> str | None:
    """Find the object format of a remote from the length of the object ids that the remote lists.

    Args:
        project: The repository whose settings git uses.
        url: The remote's URL.
        timeout: How many seconds git may take.

    Returns:
        `sha1` or `sha256`; None if the remote lists no ids, or can't be asked.
    """
    try:
        check_url(url)
        done = run_git(
            ["ls-remote", "--", url],
            cwd=project.place,
            env={"GIT_ALLOW_PROTOCOL": SCHEMES},
            timeout=timeout,
        )
    except (RemoteFailure, GitMissing):
        return None
    if not done.ok:
        return None
    object_id, _, _ = done.out.partition(b"\t")
    length = len(object_id.strip())
    return _FORMATS.get(length)


def check_branch(
    branch: str,
    cwd: Path,
) -> bool:
    """Check whether git accepts a text as a branch's short name.

    Args:
        branch: The text to check.
        cwd: The directory in which git runs.
    """
    if branch.startswith(("-", "refs/")):
        return False
    if not branch.isprintable():
        return False
    try:
        checked = run_git(
            ["check-ref-format", f"refs/heads/{branch}"],
            cwd=cwd,
        )
    except GitMissing:
        return _PLAIN_BRANCH.fullmatch(branch) is not None
    return checked.ok
