"""The remote: fetch and push the branch with the user's own `git`.

Only the user's git has the user's credential helpers, ssh configuration, proxies and URL rewrites.
git runs in csc-git's own repository. The settings of the user's repository that define how remotes
are reached are passed to git too.
"""

import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Final

from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import GitMissing, LostRace
from csc_git.git.failure import (
    NotAtomic,
    fetch_failure,
    is_branch_missing,
    push_failure,
    transport_failure,
)
from csc_git.git.repository import Repository
from csc_git.processes.git import Completed, run_git
from csc_git.project.discovery import configuration
from csc_git.project.project import Project
from csc_git.project.url import SCHEMES, check_url, default_remote, settings_of
from csc_git.text import readable

FETCHED: Final = "refs/csc/fetch/"
_NAME: Final = f"csc-{uuid.uuid4().hex}"
"""The name under which the remote is configured for git. The name is random, so the user can't have
settings for a remote with this name."""

_OTHER: Final = f"{_NAME}-other"
_REFUSED: Final = re.compile(
    rb"^!\t\S+\t\[.*?\] \((.*)\)$",
    re.MULTILINE,
)
_DATE: Final = re.compile(
    r"(?:^<|<= Recv header:) date: (.+)$",
    re.MULTILINE | re.IGNORECASE,
)
_LOOKS: Final = 3
_SLOW: Final = (
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "30"),
)
_DURABLE: Final = (
    ("core.fsyncMethod", "fsync"),
    # The fetched ref need not be durable, since only one attempt uses it.
    ("core.fsync", "objects,derived-metadata"),
    ("fetch.fsckObjects", "false"),
    # Fetched objects come as one pack, so that only one file must be made durable.
    ("fetch.unpackLimit", "1"),
)

_FETCH: Final = (
    "-q",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--refmap=",
)


class Remote:
    """One branch of one remote.

    Args:
        repository: csc-git's own repository, which receives objects and refs.
        project: The user's repository, whose settings define how remotes are reached.
        remote: The name of a remote of the project, or a URL. If None, `origin` or the only remote
            is used.
        branch: Short name of the branch.
        timeout: How many seconds one call of git may take.
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
        self.gives_up: Callable[[], bool] = lambda: False
        """A function that returns whether the caller has given up. If so, running git processes
        are killed."""

    @property
    def ref(self) -> str:
        """The full name of the branch, which begins with `refs/heads/`."""
        return f"refs/heads/{self._branch}"

    def url(self) -> str:
        """Return the remote's URL as it is configured, before git applies its rewriting rules.

        Raises:
            RemoteFailure: there is no such remote, or csc-git does not use URLs of this kind.
        """
        _, url = self._settings[0]
        return url

    def fetch(self, branch: str | None = None) -> str | None:
        """Fetch the branch of this object, or another branch, durably.

        Args:
            branch: Short name of the branch to fetch. If None, the branch of this object is
                fetched.

        Returns:
            Id of the branch's commit, or None if the remote has no such branch.

        Raises:
            RemoteFailure: the fetch failed for a reason other than a missing branch.
        """
        source = self.ref
        if branch is not None:
            source = f"refs/heads/{branch}"
        target = FETCHED + uuid.uuid4().hex
        done = self._git(
            "fetch",
            *_FETCH,
            _NAME,
            f"+{source}:{target}",
            extra=_DURABLE,
        )
        if is_branch_missing(done):
            return None
        if not done.ok:
            raise fetch_failure(done.err)
        self._repository.fsync_packs()
        return self._repository.read_ref(target)

    def push(
        self,
        commit: str,
        expected: str | None,
    ) -> None:
        """Move the remote's branch to another commit.

        Args:
            commit: Id of the branch's new commit.
            expected: Id of the commit that the branch must have before the push. None means that
                the branch must not exist yet.

        Raises:
            LostRace: the branch has another commit than expected.
            RemoteFailure: the push failed for a reason other than `LostRace`. If the push timed out
                or the connection was cut, the push may have succeeded on the remote; only a fetch
                can show this.
        """
        move = f"{commit}:{self.ref}"
        lease = self._lease(expected)
        self._check_one_place()
        self._push([move], lease)
        self._check_arrival(commit, expected)

    def _check_one_place(self) -> None:
        """Check before a push that the branch is the same at the remote's URLs for fetch and push.

        git lists the branch at one URL and then at the other. If another clone pushes between these
        two listings, the results differ. If the results differ, git lists the branch at both URLs
        again.
        """
        here, there = self._urls
        if here == there:
            return
        for _ in range(_LOOKS):
            fetched = self._listed(here)
            pushed = self._listed(there)
            # If a URL can't be asked, the push itself reports the failure.
            can_compare = fetched is not None and pushed is not None
            if not can_compare or fetched == pushed:
                return
        raise self._two_places()

    def _check_arrival(
        self,
        commit: str,
        expected: str | None,
    ) -> None:
        """Check after a push that the pushed commit is at the remote's URL for fetches."""
        here, there = self._urls
        if here == there:
            return
        seen = self._listed(here)
        before = expected or ""
        if seen == before:
            raise self._two_places()
        if seen not in {commit, None}:
            raise LostRace("the URL for fetches has another commit")

    def _listed(self, url: str) -> str | None:
        """Ask the repository at a URL for the branch's commit.

        Returns:
            Id of the commit. Empty if there is no such branch; None if the URL can't be asked.
        """
        place = (f"remote.{_OTHER}.url", url)
        done = self._git(
            "ls-remote",
            _OTHER,
            self.ref,
            extra=[place],
        )
        if not done.ok:
            return None
        commit, _, _ = done.out.partition(b"\t")
        return commit.decode()

    def _two_places(self) -> RemoteFailure:
        here, there = self._urls
        detail = readable(
            f"a branch that is pushed to {there} is not found at {here}"
        )
        return RemoteFailure(RemoteState.PUSHED_ELSEWHERE, detail)

    def replace(
        self,
        commit: str,
        expected: str,
        kept: str,
    ) -> None:
        """Move the remote's branch as `push` does, and keep its old commit as another branch.

        Both changes are made in one step. If the remote can't make both in one step, the other
        branch is made first.

        Args:
            commit: Id of the branch's new commit.
            expected: Id of the commit that the branch must have before the push.
            kept: Short name of the branch that keeps the old commit.

        Raises:
            LostRace: the branch has another commit than expected.
            RemoteFailure: the push failed for another reason.
        """
        keep = f"{expected}:refs/heads/{kept}"
        move = f"{commit}:{self.ref}"
        lease = self._lease(expected)
        try:
            self._push([keep, move], "--atomic", lease)
        except NotAtomic:
            self._push([keep])
            self._push([move], lease)

    def _lease(self, expected: str | None) -> str:
        commit = expected or ""
        return f"--force-with-lease={self.ref}:{commit}"

    def _push(self, refspecs: Sequence[str], *more: str) -> None:
        done = self._git(
            "push",
            "--porcelain",
            "--no-verify",
            "--no-signed",
            *more,
            _NAME,
            *refspecs,
        )
        if not done.ok:
            refused = _REFUSED.findall(done.out)
            reasons = [reason.decode(errors="replace") for reason in refused]
            raise push_failure(reasons, done.err)

    def has_branches(self) -> bool:
        """Check whether the remote has any branch at all.

        Raises:
            RemoteFailure: the remote can't be asked.
        """
        listed = self._branches()
        return bool(listed)

    def trace(self) -> str | None:
        """Find a ref that proves that the remote once had the branch; None if there is no such ref.

        If the user cloned the project while the remote had the branch, the user's repository has a
        remote-tracking ref of the branch. Rotations keep old histories as other branches of the
        remote. The user's repository may have remote-tracking refs of these branches too.

        Raises:
            RemoteFailure: the remote can't be asked.
        """
        if tracking := self._tracking_refs():
            return tracking[0]
        listed = self._branches(f"{self.ref}-before-*")
        first, _, _ = listed.partition("\n")
        _, _, ref = first.partition("\t")
        return ref.strip() or None

    def _branches(self, *patterns: str) -> str:
        """List the remote's branches that match a pattern; all branches if no pattern is given."""
        done = self._git(
            "ls-remote",
            "--heads",
            _NAME,
            *patterns,
        )
        if not done.ok:
            raise transport_failure(done.err)
        return done.out.decode(errors="replace").strip()

    def recall(self) -> str | None:
        """Copy the branch's remote-tracking ref from the user's to csc-git's own repository.

        Returns:
            Id of the ref's commit, or None if there is no such ref.

        Raises:
            RemoteFailure: git could not copy the ref.
        """
        ending = f"/{self._branch}"
        refs = self._tracking_refs()
        tracking = [ref for ref in refs if ref.endswith(ending)]
        if not tracking:
            return None
        source = str(self._project.common_dir)
        target = FETCHED + uuid.uuid4().hex
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
        self._repository.fsync_packs()
        return self._repository.read_ref(target)

    def _tracking_refs(self) -> list[str]:
        """List remote-tracking refs of the branch, and of the branches that rotations kept."""
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
        if not done.ok:
            return []
        return done.out.decode(errors="replace").split()

    def clock(self) -> datetime | None:
        """Read the remote's time from its web server's answer; None if there is no web server."""
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  slow to import

        done = self._git(
            "ls-remote",
            "--heads",
            _NAME,
            env={"GIT_CURL_VERBOSE": "1"},
        )
        dates = _DATE.findall(done.err)
        if not dates:
            return None
        try:
            return parsedate_to_datetime(dates[-1])
        except ValueError:
            return None

    def _git(
        self,
        *args: str,
        extra: Sequence[tuple[str, str]] = (),
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        self._urls  # noqa: B018  raises an error if a rewriting rule leads to a forbidden URL
        config = [
            *self._transport,
            *self._settings,
            *_SLOW,
            *extra,
        ]
        environment = {
            "GIT_ALLOW_PROTOCOL": SCHEMES,
            **(env or {}),
        }
        try:
            done = run_git(
                args,
                cwd=self._project.place,
                git_dir=self._repository.path,
                config=config,
                env=environment,
                timeout=self._timeout,
                children=self._repository.children,
                gives_up=self.gives_up,
            )
        except GitMissing:
            raise RemoteFailure(RemoteState.NO_GIT) from None
        if done.code is None:
            limit = f"{self._timeout:g} seconds"
            raise RemoteFailure(RemoteState.TIMEOUT, limit)
        return done

    @cached_property
    def _settings(self) -> list[tuple[str, str]]:
        """Git's settings for a remote called `_NAME`, with the URLs of the user's remote."""
        if shutil.which("git") is None:
            raise RemoteFailure(RemoteState.NO_GIT)
        settings = settings_of(
            self._project,
            self._remote,
            _NAME,
        )
        for name, value in settings:
            _, _, option = name.rpartition(".")
            if option in {"url", "pushurl"}:
                check_url(value)
        return settings

    @cached_property
    def _transport(self) -> list[tuple[str, str]]:
        """Transport settings of the user's repository that csc-git's own repository lacks."""
        ours = configuration(self._repository.path)
        return self._project.transport_beyond(ours)

    @cached_property
    def _urls(self) -> tuple[str, str]:
        """The remote's URLs for fetch and for push, after git's rewriting rules were applied.

        A rule `url.<base>.pushInsteadOf` can make git push to another URL although only one URL is
        configured.
        """
        configured = dict(self._settings)
        url = configured.get(f"remote.{_NAME}.url", "")
        push_url = configured.get(f"remote.{_NAME}.pushurl")
        fetched_from = self._resolved(url)
        if push_url is not None:
            pushed_to = self._resolved(push_url)
            return fetched_from, pushed_to
        rules = self._project.rewriting_rules("pushinsteadof")
        matching = [rule for rule in rules if url.startswith(rule)]
        prefix = max(matching, key=len, default="")
        if not prefix:
            return fetched_from, fetched_from
        pushed_to = rules[prefix] + url.removeprefix(prefix)
        check_url(pushed_to)
        return fetched_from, pushed_to

    def _resolved(self, url: str) -> str:
        """Rewrite a URL by git's rules of `url.<base>.insteadOf`.

        Raises:
            RemoteFailure: the rewritten URL is of a kind that csc-git does not use.
        """
        # The URL is passed as a setting: it may contain a password, and `ps` shows arguments.
        place = (f"remote.{_OTHER}.url", url)
        done = run_git(
            ["ls-remote", "--get-url", _OTHER],
            cwd=self._project.common_dir,
            git_dir=self._repository.path,
            config=[*self._transport, place],
        )
        resolved = url
        if done.ok:
            resolved = done.out.decode(errors="replace").strip()
        check_url(resolved)
        return resolved
