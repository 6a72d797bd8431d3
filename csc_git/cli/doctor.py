"""`csc-git doctor`: check the whole setup, and report what is wrong and how to fix it."""

import sys
from collections import Counter
from typing import Any

import click

from csc_git.cli.options import command, common, flags, user
from csc_git.cli.output import described, show, wants_json
from csc_git.coordinator.results.base import Result
from csc_git.doctor.examination import examine
from csc_git.doctor.finding import Finding
from csc_git.text import count


class Examined(Result):
    """What the doctor found."""

    findings: list[Finding]
    errors: int
    warnings: int


@command("doctor")
@common
def doctor_command(**options: Any) -> None:  # noqa: ANN401
    """Check the whole setup, and report what is wrong and how to fix it.

    The command checks the repository, the store, the remote, the clock, the branch and the settings
    of clients. To test the remote, it pushes one edit and reads it back, with the environment that
    a client gives its server. Nothing else is changed. The exit code is 1 after an error, and 0
    otherwise, even after warnings.
    """
    found: list[Finding] = []
    for finding in examine(options["directory"], flags(options), user()):
        found.append(finding)
        if not wants_json():
            click.echo(described(finding))
    levels = Counter(finding.level for finding in found)
    errors = levels["error"]
    warnings = levels["warning"]
    result = Examined(findings=found, errors=errors, warnings=warnings)
    summary = f"{count(errors, 'error')}, {count(warnings, 'warning')}"
    show(result, f"\n{summary}")
    if errors:
        sys.exit(1)
