"""csc-git: shared state for coding agents on one branch of a Git repository.

The layers, each a folder; imports run one way, downwards:

- `cli` and `server`: what a person types, and what an agent calls over MCP.
- `coordinator`: what a session may do. Sessions, edits, claims, conflicts, the change feed, the
  past; holds the clock.
- `config`: the settings, from flags, environment and git's configuration.
- `store`: a transactional key-value store on one branch. Snapshots, transactions, replay, sync.
- `core`: the rules, pure. Names, values, time, edits, merging, leases, claims.
- `git`: our own repository through dulwich, the network through the user's git.
- `errors`: everything we raise, drawn as a tree.

To embed it: `open_coordinator(Path("."))`, then `Coordinator` and its parts.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csc_git.coordinator.coordinator import Coordinator
    from csc_git.coordinator.opening import open_coordinator
    from csc_git.errors import CscError

__all__ = ["Coordinator", "CscError", "open_coordinator"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562
    """Import what is asked for, when it is: a hook has no time for all of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from csc_git.coordinator import coordinator, opening  # noqa: PLC0415
    from csc_git.errors import CscError  # noqa: PLC0415

    found = {
        "Coordinator": coordinator.Coordinator,
        "CscError": CscError,
        "open_coordinator": opening.open_coordinator,
    }
    return found[name]
