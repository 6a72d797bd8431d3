"""csc-git: shared state for coding agents on one branch of a Git repository.

Each layer is a folder. A layer imports only from the layers below it in this list:

- `cli` and `hooks`: the commands that a person types, and the commands that a client runs at an
  event.
- `doctor`: checks the installation from client to remote, and reports what is wrong.
- `clients`: the settings files of MCP clients.
- `server`: the tools, resources and prompts that an agent uses over MCP.
- `coordinator`: the operations that a session can call, on sessions, edits, claims, conflicts, the
  change feed and the history. The coordinator also reads the system's clocks.
- `config`: the settings, from flags, environment variables and git's configuration.
- `store`: a transactional key-value store on one branch, with snapshots, transactions, replay and
  sync.
- `git`: csc-git's own repository. dulwich reads and writes it; the user's git fetches and pushes.
- `project`: the user's repository: its place, its configuration and its tracked files.
- `processes`: git as a child process, and csc-git processes that outlive their parent.
- `files`: locks, and functions that write files durably before they return.
- `core`: pure functions with the rules for names, values, time, edits, merging, leases and claims.
- `text`: functions that make text from outside safe to show.
- `errors`: all errors that csc-git raises on purpose, as a tree of classes.

To use csc-git as a library, call `open_coordinator(Path("."))`. It returns a `Coordinator`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csc_git.coordinator.coordinator import Coordinator
    from csc_git.coordinator.factory import open_coordinator
    from csc_git.errors import CscError

__all__ = ["Coordinator", "CscError", "open_coordinator"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562
    """Import a public name when it is first used. To import all names takes too long for a hook."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from csc_git.coordinator import coordinator, factory  # noqa: PLC0415
    from csc_git.errors import CscError  # noqa: PLC0415

    found = {
        "Coordinator": coordinator.Coordinator,
        "CscError": CscError,
        "open_coordinator": factory.open_coordinator,
    }
    return found[name]
