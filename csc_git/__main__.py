"""`python -m csc_git` does the same as the command `csc-git`."""

from csc_git.cli.main import main

main(prog_name="csc-git")
