"""URLs: where a remote is, by its name in the user's configuration, and which URLs are used."""

import re
from pathlib import Path
from typing import Final

from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import GitMissing
from csc_git.processes.git import run_git
from csc_git.project.project import Project

SCHEMES: Final = "file:git:http:https:ssh"
"""Schemes of the URLs that are used, as `GIT_ALLOW_PROTOCOL` has them."""

_SCHEME: Final = re.compile(r"([A-Za-z0-9+.-]+)(::|://)")
_LOCATION: Final = re.compile(r"[:/\\]")
"""Found in a URL or a path, and not in the name of a remote."""

_PLAIN_BRANCH: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*"
)
"""Names of branches that are accepted without git."""

_FORMATS: Final = {
    40: "sha1",
    64: "sha256",
}
"""Object formats by the length of an id in hexadecimal digits."""

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
    """Make the configuration of a remote of our own with the URLs of a remote of the user's.

    Args:
        project: The user's repository.
        remote: The name of a remote of the project, a URL, or None for `origin` or the only one.
        ours: The name of our remote.

    Returns:
        Names and values of git's settings.

    Raises:
        RemoteFailure: there is no such remote.
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
    """Return those options of a remote that ours needs too."""
    options = project.section(f"remote.{name}.")
    options |= _urls(project, name)
    found: dict[str, str] = {}
    for option in _OPTIONS:
        if option in options:
            found[option] = options[option]
    return found


def _choices(project: Project) -> str:
    """Name a project's remotes, none of which is the default; empty if it has no remotes."""
    if not project.remotes:
        return ""
    names = " and ".join(project.remotes)
    return f"it has {names}; which is meant?"


def _urls(
    project: Project,
    name: str,
) -> dict[str, str]:
    """Return the URL that a remote is fetched from, and the one it is pushed to if that is set.

    git fetches from the first of several URLs and pushes to all of them, so that mirrors have the
    same content. Our remote must be one repository: what was pushed is in the history that others
    fetch.
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
    """Return the name of the default remote: `origin`, or the only one; None if there is none."""
    names = project.remotes
    if "origin" in names:
        return "origin"
    if len(names) == 1:
        return names[0]
    return None


def is_usable_url(url: str) -> bool:
    """Check whether a URL is of a kind that git reaches by its own transports."""
    try:
        check_url(url)
    except RemoteFailure:
        return False
    return True


def check_url(url: str) -> None:
    """Refuse a URL that git would run, or reach by other means than its own transports.

    Raises:
        RemoteFailure: it is such a URL.
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
    """Check whether git would need another program for the URL's scheme."""
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
    """Find the object format of a remote, by the length of the ids that it lists.

    Args:
        project: The repository whose settings git uses.
        url: The remote's URL.
        timeout: Seconds that git may take.

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
        branch: The text.
        cwd: Where git runs.
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
