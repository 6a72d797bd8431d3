"""The remote: fetching and pushing the branch with the user's own `git`.

Only their git has their credential helpers, ssh configuration, proxies and URL rewrites. It runs
in our repository with the repository-level settings of theirs that say how remotes are reached.
"""

import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Final

from csc_git.core.remote_state import RemoteState
from csc_git.git.child import Completed, GitMissing, run_git
from csc_git.git.failure import (
    IN_THE_WAY,
    LOST_RACE,
    RemoteFailure,
    fetch_failure,
    is_broken_here,
    rejection,
    transport_failure,
)
from csc_git.git.project import Project, configuration
from csc_git.git.repository import Repository
from csc_git.git.url import SCHEMES, check_url, default_remote, settings_of
from csc_git.text import readable

DEFAULT_BRANCH: Final = "csc/state"
FETCHED: Final = "refs/csc/fetch/"
_NAME: Final = f"csc-{uuid.uuid4().hex}"
"""Name of the remote that we configure. It is random, so no user has settings for it."""

_OTHER: Final = f"{_NAME}-other"
_REFUSED: Final = re.compile(rb"^!\t\S+\t\[.*?\] \((.*)\)$", re.MULTILINE)
_DATE: Final = re.compile(
    r"(?:^<|<= Recv header:) date: (.+)$", re.MULTILINE | re.IGNORECASE
)
_LOOKS: Final = 3
_SLOW: Final = (("http.lowSpeedLimit", "1"), ("http.lowSpeedTime", "30"))
_DURABLE: Final = (
    ("core.fsyncMethod", "fsync"),
    (
        "core.fsync",
        "objects,derived-metadata",
    ),  # not the ref, which is of one attempt
    ("fetch.fsckObjects", "false"),
    (
        "fetch.unpackLimit",
        "1",
    ),  # one pack to be made durable, not as many files as objects
)

_FETCH: Final = (
    "-q", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance",
    "--refmap=",
)  # fmt: skip


class LostRace(Exception):
    """Somebody else pushed between our fetch and our push."""


class Remote:
    """One branch of one remote.

    Args:
        repository: Ours; objects and refs arrive there.
        project: The user's; its settings say how remotes are reached.
        remote: The name of a remote of the project, a URL, or None for `origin` or the only one.
        branch: Short name of the branch.
        timeout: Seconds that one call of git may take.
    """

    def __init__(
        self,
        repository: Repository,
        project: Project,
        remote: str | None,
        branch: str,
        timeout: float = 60.0,
    ) -> None:
        self._repository = repository
        self._project = project
        self._remote = remote
        self._branch = branch
        self._timeout = timeout
        self.gives_up: Callable[[], bool] | None = None
        """Whether the caller gave up: every git that talks to the remote is then killed."""

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self._branch}"

    def url(self) -> str:
        """The URL as configured, before git's rewriting.

        Raises:
            RemoteFailure: there is no such remote, or its URL is not one we use.
        """
        return self._settings[0][1]

    def fetch(self, branch: str | None = None) -> str | None:
        """Fetch our branch, or another; its commit, or None if the remote has no such branch.

        Raises:
            RemoteFailure: anything else.
        """
        target = FETCHED + uuid.uuid4().hex
        source = self.ref if branch is None else f"refs/heads/{branch}"
        done = self._git(
            "fetch", *_FETCH, _NAME, f"+{source}:{target}", extra=_DURABLE
        )
        if not done.ok:
            if "couldn't find remote ref" in done.err.lower():
                return None
            raise fetch_failure(done.err)
        self._repository.settle_packs()
        return self._repository.read_ref(target)

    def push(self, commit: str, expected: str | None) -> None:
        """Move the remote's branch from `expected` (None: it must not exist) to `commit`.

        Raises:
            LostRace: it was somewhere else.
            RemoteFailure: anything else. After a time-out or a cut connection the push may have
                arrived all the same; only a fetch can tell.
        """
        self._check_one_place()
        self._push([f"{commit}:{self.ref}"], self._lease(expected))
        self._check_arrival(commit, expected)

    def _check_one_place(self) -> None:
        """Before a push: where fetch and push have different URLs, do both show the same branch?

        Seen one after the other they can differ while others push, so they are looked at again.
        """
        here, there = self._urls
        if here == there:
            return
        for _ in range(_LOOKS):
            seen = [self._listed(url) for url in (here, there)]
            if None in seen or seen[0] == seen[1]:
                return  # what can't be asked shows when it is pushed to
        raise self._two_places()

    def _check_arrival(self, commit: str, expected: str | None) -> None:
        """After a push: does it show where others fetch?"""
        here, there = self._urls
        if here == there:
            return
        seen = self._listed(here)
        if seen == (expected or ""):
            raise self._two_places()
        if seen not in {commit, None}:
            raise LostRace("another commit shows where others fetch")

    def _listed(self, url: str) -> str | None:
        """The branch's commit at a URL. Empty: no such branch. None: the URL can't be asked."""
        place = ((f"remote.{_OTHER}.url", url),)
        done = self._git("ls-remote", _OTHER, self.ref, extra=place)
        return done.out.partition(b"\t")[0].decode() if done.ok else None

    def _two_places(self) -> RemoteFailure:
        here, there = self._urls
        what = f"what is pushed to {there} does not show at {here}"
        return RemoteFailure(RemoteState.PUSHED_ELSEWHERE, readable(what))

    def replace(self, commit: str, expected: str, kept: str) -> None:
        """As `push`, with what was there kept as the branch `kept`: both or neither.

        On a remote that can't do both at once the branch is made first.
        """
        keep, move = f"{expected}:refs/heads/{kept}", f"{commit}:{self.ref}"
        try:
            self._push([keep, move], "--atomic", self._lease(expected))
        except RemoteFailure as failure:
            if "atomic" not in failure.detail:
                raise
            self._push([keep])
            self._push([move], self._lease(expected))

    def _lease(self, expected: str | None) -> str:
        return f"--force-with-lease={self.ref}:{expected or ''}"

    def _push(self, refspecs: Sequence[str], *more: str) -> None:
        options = ["--porcelain", "--no-verify", "--no-signed", *more]
        done = self._git("push", *options, _NAME, *refspecs)
        if done.ok:
            return
        if is_broken_here(done.err):
            raise RemoteFailure(RemoteState.STORAGE, done.err)
        reasons = [
            one.decode(errors="replace") for one in _REFUSED.findall(done.out)
        ]
        if not reasons:
            raise transport_failure(done.err)
        reason = next(
            (one for one in reasons if "atomic" not in one), reasons[0]
        )
        if IN_THE_WAY.search(done.err):
            raise RemoteFailure(RemoteState.NOT_A_STORE, done.err)
        if LOST_RACE.search(reason):
            raise LostRace(f"{reason}: {readable(done.err)}")
        raise rejection(reason, done.err)

    def has_branches(self) -> bool:
        """Whether the remote has any branch at all.

        Raises:
            RemoteFailure: it can't be asked.
        """
        done = self._git("ls-remote", "--heads", _NAME)
        if not done.ok:
            raise transport_failure(done.err)
        return bool(done.out.strip())

    def trace(self) -> str | None:
        """A ref that shows that the remote once had the branch; None if there is no such ref.

        A clone that git made while the branch was there has a remote-tracking ref of it. Branches
        that a rotation kept are on the remote itself, and have remote-tracking refs too.

        Raises:
            RemoteFailure: the remote can't be asked.
        """
        if tracking := self._tracking_refs():
            return tracking[0]
        done = self._git("ls-remote", "--heads", _NAME, f"{self.ref}-before-*")
        if not done.ok:
            raise transport_failure(done.err)
        return (
            done.out.decode(errors="replace").partition("\t")[2].strip() or None
        )

    def recall(self) -> str | None:
        """Copy what the user's repository has of the branch into ours; its tip, or None."""
        tracking = [
            ref
            for ref in self._tracking_refs()
            if ref.endswith(f"/{self._branch}")
        ]
        if not tracking:
            return None
        target = FETCHED + uuid.uuid4().hex
        source = str(self._project.common_dir)
        done = self._git(
            "fetch",
            *_FETCH,
            "--",
            source,
            f"+{tracking[0]}:{target}",
            extra=_DURABLE,
        )
        if not done.ok:
            raise fetch_failure(done.err)
        self._repository.settle_packs()
        return self._repository.read_ref(target)

    def _tracking_refs(self) -> list[str]:
        """Remote-tracking refs of the branch, and of the histories that rotations kept."""
        name = self._remote or default_remote(self._project)
        if name not in self._project.remotes:
            return []
        prefix = f"refs/remotes/{name}/{self._branch}"
        asked = [
            "for-each-ref",
            "--format=%(refname)",
            prefix,
            f"{prefix}-before-*",
        ]
        done = run_git(asked, cwd=self._project.common_dir)
        return done.out.decode(errors="replace").split() if done.ok else []

    def clock(self) -> datetime | None:
        """What time the remote has, by the answer of its web server; None where there is none."""
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  slow to import

        done = self._git(
            "ls-remote", "--heads", _NAME, env={"GIT_CURL_VERBOSE": "1"}
        )
        dates = _DATE.findall(done.err)
        try:
            return parsedate_to_datetime(dates[-1]) if dates else None
        except ValueError:
            return None

    def _git(
        self,
        *args: str,
        extra: Sequence[tuple[str, str]] = (),
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        self._urls  # noqa: B018  refuses what a rewriting rule makes of a URL
        config = [*self._transport, *self._settings, *_SLOW, *extra]
        try:
            done = run_git(
                args,
                cwd=self._project.place,
                git_dir=self._repository.path,
                config=config,
                env={"GIT_ALLOW_PROTOCOL": SCHEMES, **(env or {})},
                timeout=self._timeout,
                gives_up=self.gives_up,
            )
        except GitMissing:
            raise RemoteFailure(RemoteState.NO_GIT) from None
        if done.code is None:
            raise RemoteFailure(
                RemoteState.TIMEOUT, f"{self._timeout:g} seconds"
            )
        return done

    @cached_property
    def _settings(self) -> list[tuple[str, str]]:
        """A remote of our own name with the URLs of theirs."""
        if shutil.which("git") is None:
            raise RemoteFailure(RemoteState.NO_GIT)
        settings = settings_of(self._project, self._remote, _NAME)
        for name, url in settings:
            if name.rpartition(".")[2] in {"url", "pushurl"}:
                check_url(url)
        return settings

    @cached_property
    def _transport(self) -> list[tuple[str, str]]:
        """Transport settings of their repository that ours does not have."""
        return self._project.transport_beyond(
            configuration(self._repository.path)
        )

    @cached_property
    def _urls(self) -> tuple[str, str]:
        """Where it is fetched from and pushed to, as git's own rewriting rules leave the URLs.

        `url.<base>.pushInsteadOf` can lead a push elsewhere although only one URL is configured.
        """
        configured = dict(self._settings)
        url, push = (
            configured.get(f"remote.{_NAME}.{name}")
            for name in ("url", "pushurl")
        )
        fetched_from = self._resolved(url or "")
        if push is not None:
            return fetched_from, self._resolved(push)
        rules = self._project.rewriting_rules("pushinsteadof")
        prefix = max(
            (rule for rule in rules if (url or "").startswith(rule)),
            key=len,
            default="",
        )
        if not prefix:
            return fetched_from, fetched_from
        pushed_to = rules[prefix] + (url or "").removeprefix(prefix)
        check_url(pushed_to)
        return fetched_from, pushed_to

    def _resolved(self, url: str) -> str:
        """A URL as git's `url.<base>.insteadOf` leaves it.

        Raises:
            RemoteFailure: it leads to what we don't use.
        """
        done = run_git(  # by a name, since URLs may hold a password, and arguments show in `ps`
            ["ls-remote", "--get-url", _OTHER],
            cwd=self._project.common_dir,
            git_dir=self._repository.path,
            config=[*self._transport, (f"remote.{_OTHER}.url", url)],
        )
        resolved = done.out.decode(errors="replace").strip() if done.ok else url
        check_url(resolved)
        return resolved
