"""The command line as tests run it: in a process of its own, or in this one."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from csc_git.cli.main import main


def csc(
    *arguments: str,
    cwd: Path,
    code: int = 0,
    stdin: str = "",
    env: dict[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run csc-git; it must end with the expected code and never with a traceback."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "csc_git", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, input=stdin,
        env=os.environ | (env or {}), timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done


def csc_here(*arguments: str, code: int = 0) -> str:
    """Run csc-git in this process and directory; its output.

    It must end with the expected code, and with no exception but `SystemExit`.
    """
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output
