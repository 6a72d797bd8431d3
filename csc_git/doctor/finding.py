"""Findings, which are the results of checks. Each finding is one line."""

from collections.abc import Callable, Iterator
from typing import Literal

from csc_git.coordinator.results.base import Result
from csc_git.errors import CscError

Level = Literal["ok", "warning", "error"]


class Finding(Result):
    """One result of a check.

    Attributes:
        check: What was checked, in a word or two.
        level: `ok`, `warning` or `error`. A warning means that the checked part still works, but
            works badly or may soon stop working.
        message: What was found.
        fix: What to do about the problem, if possible a command. The command never destroys data.
    """

    check: str
    level: Level
    message: str
    fix: str = ""


Check = Callable[[], Iterator[Finding]]


def fine(
    check: str,
    message: str,
) -> Finding:
    """Make a finding that needs no action.

    Args:
        check: What was checked, in a word or two.
        message: What was found.
    """
    return Finding(
        check=check,
        level="ok",
        message=message,
    )


def doubtful(
    check: str,
    message: str,
    fix: str,
) -> Finding:
    """Make a warning.

    Args:
        check: What was checked, in a word or two.
        message: What was found.
        fix: What to do about the problem.
    """
    return Finding(
        check=check,
        level="warning",
        message=message,
        fix=fix,
    )


def wrong(
    check: str,
    message: str,
    fix: str,
) -> Finding:
    """Make an error: a finding about a problem that keeps something from working.

    Args:
        check: What was checked, in a word or two.
        message: What was found.
        fix: What to do about the problem.
    """
    return Finding(
        check=check,
        level="error",
        message=message,
        fix=fix,
    )


def refused(
    check: str,
    error: CscError,
) -> Finding:
    """Make a finding from one of our errors: what happened, and what to do next.

    Args:
        check: What was checked, in a word or two.
        error: The error that ended the check.
    """
    return wrong(check, error.what, error.then)
