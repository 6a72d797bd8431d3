"""Makes a tool from a function: description, schema, errors."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import (
    CallToolResult,
    InputRequiredResult,
    TextContent,
    ToolAnnotations,
)
from pydantic import Field, ValidationError

from csc_git.coordinator.results.base import Result
from csc_git.errors import CscError, as_csc_error
from csc_git.server.tools.schema import slim, slim_output

P = ParamSpec("P")
R = TypeVar("R")

Session = Annotated[str | None, Field(description="your handle")]
UnusedSession = str | None
"""Every tool takes a session, since models pass it to each; those that only read ignore it."""

ScopeName = Annotated[str, Field(description="such as issue:15")]
AnyJson = Annotated[
    Any,
    Field(
        json_schema_extra={
            "type": ["object", "array", "string", "number", "boolean", "null"]
        },
    ),
]
IfRevision = Annotated[
    str | None,
    Field(description="only if the key has this revision, or is 'absent'"),
]
AllowSecret = Annotated[
    str | None, Field(description="why it is safe though it looks secret")
]
Confirm = Annotated[bool, Field(description="wait until the remote has it")]

READ: Final = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITE: Final = ToolAnnotations(
    read_only_hint=False,
    destructive_hint=False,
    idempotent_hint=True,
    open_world_hint=False,
)
REMOVE: Final = ToolAnnotations(
    read_only_hint=False,
    destructive_hint=True,
    idempotent_hint=True,
    open_world_hint=False,
)


class _ExactValue(FuncMetadata):
    """Leaves `value` as the client sent it, and shows a model nothing that hides.

    The SDK parses string arguments that look like JSON, for clients that quote their objects. A
    store must give back what it was given: the string "[1]" is not the list [1].
    """

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        parsed = super().pre_parse_json(data)
        return {
            name: data[name] if name == "value" else item
            for name, item in parsed.items()
        }

    def convert_result(
        self,
        result: Any,  # noqa: ANN401
    ) -> CallToolResult | InputRequiredResult:
        made = super().convert_result(result)
        if isinstance(result, Result) and isinstance(made, CallToolResult):
            made.content = [TextContent(type="text", text=result.to_text())]
        return made


class _StrictTool(Tool):
    """Refuses arguments in words a model can act on, and names that no argument has."""

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,
    ) -> Any:  # noqa: ANN401  the SDK's own signature
        known = self.fn_metadata.arg_model.model_fields
        if unknown := arguments.keys() - known.keys():
            names = ", ".join(sorted(unknown))
            raise ToolError(
                f"No argument is called {names}. There are: {', '.join(known)}."
            )
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            if type(error) is not ToolError or not isinstance(
                error.__cause__, ValidationError
            ):
                raise  # of the tool itself, in which something may have been changed
            wrong = [
                f"{_place(one['loc'])}: {one['msg']}"
                for one in error.__cause__.errors()
            ]
            raise ToolError(
                f"{'; '.join(wrong)}. Nothing was changed."
            ) from None


def tool(fn: Callable[..., Any], annotations: ToolAnnotations) -> Tool:
    """A tool; its description is the function's docstring."""
    description = " ".join((fn.__doc__ or "").split())
    made = _StrictTool.from_function(
        said(fn), description=description, annotations=annotations
    )
    metadata = made.fn_metadata
    made.fn_metadata = _ExactValue(
        arg_model=metadata.arg_model,
        output_schema=slim_output(metadata.output_schema)
        if metadata.output_schema
        else None,
        output_model=metadata.output_model,
        wrap_output=metadata.wrap_output,
    )
    made.parameters = slim(made.parameters)
    return made


def said(fn: Callable[P, R]) -> Callable[P, R]:
    """`fn`, its errors as the kind whose text reaches the model."""
    if iscoroutinefunction(fn):
        return _said_later(fn)  # type: ignore[return-value]

    @wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return fn(*args, **kwargs)
        except (CscError, OSError) as error:
            raise ToolError(str(as_csc_error(error))) from error

    return call


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location))


def _said_later(fn: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    @wraps(fn)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await fn(*args, **kwargs)
        except (CscError, OSError) as error:
            raise ToolError(str(as_csc_error(error))) from error

    return call
