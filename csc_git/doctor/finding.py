"""Findings: what a check saw, in a line each."""

from collections.abc import Callable, Iterator
from typing import Literal

from csc_git.coordinator.results import Result
from csc_git.errors import CscError

Level = Literal["ok", "warning", "error"]


class Finding(Result):
    """What a check saw.

    Attributes:
        check: What was looked at, in a word or two.
        level: `ok`; `warning`: it works, but not for long or not as well as it could; `error`.
        message: What was found.
        fix: What to do about it; a command where there is one. Never one that destroys anything.
    """

    check: str
    level: Level
    message: str
    fix: str = ""


Check = Callable[[], Iterator[Finding]]


def fine(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, level="ok", message=message)


def doubtful(check: str, message: str, fix: str) -> Finding:
    """Something to see to."""
    return Finding(check=check, level="warning", message=message, fix=fix)


def wrong(check: str, message: str, fix: str) -> Finding:
    """Something that stands in the way."""
    return Finding(check=check, level="error", message=message, fix=fix)


def refused(check: str, error: CscError) -> Finding:
    """A finding with the message of one of our errors."""
    return wrong(check, error.what, error.then)
