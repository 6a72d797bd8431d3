"""`csc-git doctor`: try the whole chain, and say what is wrong and how to mend it."""

import sys
from typing import Any

import click

from csc_git.cli.options import command, common, flags, user
from csc_git.cli.output import described, show, wants_json
from csc_git.coordinator.results import Result
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
    """Try the whole chain for real, and say what is wrong and how to mend it.

    From the repository over the store, the remote, the clock and the branch to the clients'
    settings; the remote with the environment that a client gives its server. One edit is made (a
    round trip). Nothing else is changed. Exit code 1 if anything is wrong, 0 if all is well or
    only doubtful.
    """
    found = []
    for finding in examine(options["directory"], flags(options), user()):
        found.append(finding)
        if not wants_json():
            click.echo(described(finding))
    errors = sum(finding.level == "error" for finding in found)
    warnings = sum(finding.level == "warning" for finding in found)
    summary = f"{count(errors, 'error')}, {count(warnings, 'warning')}"
    show(
        Examined(findings=found, errors=errors, warnings=warnings),
        f"\n{summary}",
    )
    sys.exit(1 if errors else 0)
