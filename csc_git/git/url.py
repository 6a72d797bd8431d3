"""URLs: where a remote is, by its name in the user's configuration, and which URLs are used."""

import re
from pathlib import Path
from typing import Final

from csc_git.core.remote_state import RemoteState
from csc_git.git.child import GitMissing, run_git
from csc_git.git.failure import RemoteFailure
from csc_git.git.project import Project

SCHEMES: Final = "file:git:http:https:ssh"
_SCHEME: Final = re.compile(r"([A-Za-z0-9+.-]+)(::|://)")
_OPTIONS: Final = (
    "url",
    "pushurl",
    "proxy",
    "proxyauthmethod",
    "uploadpack",
    "receivepack",
)


def settings_of(
    project: Project, remote: str | None, ours: str
) -> list[tuple[str, str]]:
    """Configuration of a remote called `ours` with the URLs of theirs.

    Args:
        project: Their repository.
        remote: The name of a remote of theirs, a URL, or None for `origin` or the only one.
        ours: What it is called.

    Raises:
        RemoteFailure: there is no such remote.
    """
    name = remote or default_remote(project)
    if name is not None and name in project.remotes:
        theirs = project.section(f"remote.{name}.") | _urls(project, name)
        return [
            (f"remote.{ours}.{option}", theirs[option])
            for option in _OPTIONS
            if option in theirs
        ]
    if name is not None and re.search(r"[:/\\]", name):
        return [(f"remote.{ours}.url", name)]
    detail = f"no remote is called {name}" if name else ""
    if not name and project.remotes:
        detail = f"it has {' and '.join(project.remotes)}; which is meant?"
    raise RemoteFailure(RemoteState.NO_REMOTE, detail)


def _urls(project: Project, name: str) -> dict[str, str]:
    """Where a remote is fetched from and, if that is elsewhere, pushed to: one URL each.

    git fetches from the first of several URLs and pushes to all of them, so mirrors are kept in
    step. Ours must be one repository: what was pushed is in the history that others fetch.
    """
    url = project.values(f"remote.{name}.url")[0]
    push = project.values(f"remote.{name}.pushurl")
    return {
        "url": url,
        **({"pushurl": url if url in push else push[0]} if push else {}),
    }


def default_remote(project: Project) -> str | None:
    """The default remote: `origin`, or the only one."""
    if "origin" in project.remotes:
        return "origin"
    return project.remotes[0] if len(project.remotes) == 1 else None


def is_usable_url(url: str) -> bool:
    """Whether a URL is of a kind that git reaches by its own transports."""
    try:
        check_url(url)
    except RemoteFailure:
        return False
    return True


def check_url(url: str) -> None:
    """Refuse what git would run, or reach by other means than its own transports.

    Raises:
        RemoteFailure: it is such a URL.
    """
    scheme = _SCHEME.match(url)
    foreign = scheme is not None and (
        scheme[2] == "::" or scheme[1].lower() not in SCHEMES.split(":")
    )
    if not url or url.startswith("-") or not url.isprintable() or foreign:
        raise RemoteFailure(RemoteState.BAD_URL, url)


def listed_format(project: Project, url: str, timeout: float) -> str | None:
    """The object format of a remote, by the length of the ids it lists; None if it lists none."""
    try:
        check_url(url)
        env = {"GIT_ALLOW_PROTOCOL": SCHEMES}
        done = run_git(
            ["ls-remote", "--", url],
            cwd=project.place,
            env=env,
            timeout=timeout,
        )
    except (RemoteFailure, GitMissing):
        return None
    first = done.out.split(b"\t")[0].strip() if done.ok else b""
    return {40: "sha1", 64: "sha256"}.get(len(first))


def check_branch(branch: str, cwd: Path) -> bool:
    """Whether git takes `branch` as a branch's short name."""
    if branch.startswith(("-", "refs/")) or not branch.isprintable():
        return False
    try:
        return run_git(["check-ref-format", f"refs/heads/{branch}"], cwd=cwd).ok
    except GitMissing:
        return (
            re.fullmatch(
                r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*",
                branch,
            )
            is not None
        )
