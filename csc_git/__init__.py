"""csc-git: shared state for coding agents on one branch of a Git repository.

The layers, each a folder; imports run one way, downwards:

- `cli` and `hooks`: the commands that a person types, and the commands that a client runs at an
  event.
- `doctor`: tries the whole chain and reports what is wrong.
- `clients`: the settings files of MCP clients.
- `server`: the tools, resources and prompts that an agent uses over MCP.
- `coordinator`: what a session may do. Sessions, edits, claims, conflicts, the change feed, the
  history. Holds the clock.
- `config`: the settings, from flags, environment and git's configuration.
- `store`: a transactional key-value store on one branch. Snapshots, transactions, replay, sync.
- `git`: our own repository, read and written by dulwich; the network, by the user's git.
- `project`: the user's repository. Where it is, its configuration, its tracked files.
- `processes`: git as a child process, and processes of ours that outlive the one that starts them.
- `files`: locks, and writes that are durable when they return.
- `core`: the rules, pure. Names, values, time, edits, merging, leases, claims.
- `text`: how text that others wrote is shown.
- `errors`: every error that we raise, as a tree.

To embed it: `open_coordinator(Path("."))`, then `Coordinator` and its parts.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csc_git.coordinator.coordinator import Coordinator
    from csc_git.coordinator.factory import open_coordinator
    from csc_git.errors import CscError

__all__ = ["Coordinator", "CscError", "open_coordinator"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562
    """Import what is asked for, when it is: a hook has no time for all of it."""
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
