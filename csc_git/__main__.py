"""`python -m csc_git` is `csc-git`."""

from csc_git.cli.main import main

main(prog_name="csc-git")
