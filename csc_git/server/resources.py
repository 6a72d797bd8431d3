"""The resources: an overview of the sessions, each session's state, and single values, as JSON.

The state of each session is listed as a separate resource too, since some clients ignore templates.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    Resource,
    ResourceTemplateReference,
)

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results.base import Result
from csc_git.coordinator.sessions.presence import session_names
from csc_git.errors import CscError, as_csc_error
from csc_git.server.host import Host

JSON: Final = "application/json"
CONTEXT: Final = "session://context"
STATE: Final = "session://state/{id}"
DATA: Final = "session://data/{scope}/{key}"
_MOST_COMPLETIONS: Final = 100


def register(
    server: MCPServer[None],
    host: Host,
) -> None:
    """Add the resources to a server, and suggest values for the arguments in their URIs.

    Args:
        server: The server that lists the resources.
        host: Opens the coordinator whose state the resources contain.
    """

    @server.resource(
        CONTEXT,
        name="context",
        mime_type=JSON,
        description="Who is here, and what to do next",
    )
    def context() -> str:
        return _json(host, lambda coordinator: coordinator.summary.context())

    @server.resource(
        STATE,
        name="state",
        mime_type=JSON,
        description="A session and its state",
    )
    def state(id: str) -> str:  # noqa: A002  the name in the template
        return _json(host, lambda coordinator: coordinator.summary.state(id))

    @server.resource(
        DATA,
        name="data",
        mime_type=JSON,
        description="One value, with its author",
    )
    def data(
        scope: str,
        key: str,
    ) -> str:
        return _json(
            host, lambda coordinator: coordinator.values.retrieve(scope, key)
        )

    complete = _completer(host)
    server.completion()(complete)  # type: ignore[no-untyped-call]


def concrete(host: Host) -> list[Resource]:
    """List one resource with the state for each session that exists."""
    try:
        names = session_names(host.get().store.snapshot())
    except CscError:
        return []
    return [
        Resource(
            uri=STATE.replace("{id}", name),
            name=f"state of {name}",
            description=f"What {name} is doing",
            mime_type=JSON,
        )
        for name in names
    ]


Complete = Callable[
    [
        PromptReference | ResourceTemplateReference,
        CompletionArgument,
        CompletionContext | None,
    ],
    Awaitable[Completion | None],
]


def _completer(host: Host) -> Complete:
    async def complete(
        ref: PromptReference | ResourceTemplateReference,  # noqa: ARG001  only the names matter
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        try:
            given = (context and context.arguments) or {}
            known = await anyio.to_thread.run_sync(
                _candidates, host, argument.name, given
            )
        except CscError:
            return None
        found = [name for name in known if name.startswith(argument.value)]
        return Completion(
            values=found[:_MOST_COMPLETIONS],
            total=len(found),
            has_more=len(found) > _MOST_COMPLETIONS,
        )

    return complete


def _candidates(
    host: Host,
    name: str,
    arguments: dict[str, str],
) -> list[str]:
    coordinator = host.get()
    match name:
        case "id" | "session":
            return list(session_names(coordinator.store.snapshot()))
        case "scope":
            return coordinator.values.list_scopes().scopes
        case "key" if "scope" in arguments:
            return coordinator.values.list_keys(arguments["scope"]).keys
        case _:
            return []


def _json(
    host: Host,
    answer: Callable[[Coordinator], Result],
) -> str:
    try:
        return answer(host.reading()).to_text()
    except (CscError, OSError) as error:
        raise ResourceError(str(as_csc_error(error))) from error
