"""Make a tool from a function: its description, its schema and its errors."""

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
from pydantic_core import ErrorDetails

from csc_git.coordinator.results.base import Result
from csc_git.errors import CscError, as_csc_error
from csc_git.server.tools.schema import slim, slim_output

P = ParamSpec("P")
R = TypeVar("R")

Session = Annotated[str | None, Field(description="your handle")]
UnusedSession = str | None
"""Every tool has the argument `session`, since models pass a session to every tool.

Tools that only read ignore this argument.
"""

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
    """Keeps `value` as the client sent it, and makes hidden characters visible to models.

    The SDK parses string arguments that look like JSON, since some clients send objects as quoted
    text. But a store must return exactly the value that was stored: the string "[1]" is not the
    list [1].
    """

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        parsed = super().pre_parse_json(data)
        if "value" in parsed:
            parsed["value"] = data["value"]
        return parsed

    def convert_result(
        self,
        result: Any,  # noqa: ANN401
    ) -> CallToolResult | InputRequiredResult:
        made = super().convert_result(result)
        if isinstance(result, Result) and isinstance(made, CallToolResult):
            text = result.to_text()
            made.content = [TextContent(type="text", text=text)]
        return made


class _StrictTool(Tool):
    """A tool that refuses unknown arguments, and explains wrong arguments to models."""

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,
    ) -> Any:  # noqa: ANN401  the SDK's own signature
        fields = self.fn_metadata.arg_model.model_fields
        unknown = arguments.keys() - fields.keys()
        if unknown:
            names = ", ".join(sorted(unknown))
            known = ", ".join(fields)
            raise ToolError(
                f"No argument is called {names}. The arguments are: {known}."
            )
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            cause = error.__cause__
            is_plain = type(error) is ToolError
            if not is_plain or not isinstance(cause, ValidationError):
                raise  # the tool itself raised the error, and may have changed something
            wrong = "; ".join(map(_described, cause.errors()))
            raise ToolError(f"{wrong}. Nothing was changed.") from None


def tool(
    fn: Callable[..., Any],
    annotations: ToolAnnotations,
) -> Tool:
    """Make a tool from a function.

    The tool's description is the function's docstring up to `Args:`. Models read the descriptions
    of arguments in the schema.

    Args:
        fn: The function, or coroutine function, that runs when the tool is called.
        annotations: What the tool may change. Some clients ask the user before they call a tool
            that may change something.
    """
    made = _StrictTool.from_function(
        _raising_tool_errors(fn),
        description=_description(fn),
        annotations=annotations,
    )
    metadata = made.fn_metadata
    output_schema = metadata.output_schema
    if output_schema:
        output_schema = slim_output(output_schema)
    made.fn_metadata = _ExactValue(
        arg_model=metadata.arg_model,
        output_schema=output_schema or None,
        output_model=metadata.output_model,
        wrap_output=metadata.wrap_output,
    )
    made.parameters = slim(made.parameters)
    return made


def _description(fn: Callable[..., Any]) -> str:
    """A function's docstring without its sections, on one line."""
    words = (fn.__doc__ or "").split()
    if "Args:" in words:
        words = words[: words.index("Args:")]
    return " ".join(words)


def _raising_tool_errors(fn: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that its errors become errors of the SDK, which models can read."""
    if iscoroutinefunction(fn):
        return _raising_tool_errors_later(fn)  # type: ignore[return-value]

    @wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return fn(*args, **kwargs)
        except (CscError, OSError) as error:
            raise ToolError(str(as_csc_error(error))) from error

    return call


def _described(error: ErrorDetails) -> str:
    """Describe an error of pydantic: the argument, and what is wrong with it."""
    argument = ".".join(map(str, error["loc"]))
    return f"{argument}: {error['msg']}"


def _raising_tool_errors_later(
    fn: Callable[P, Awaitable[R]],
) -> Callable[P, Awaitable[R]]:
    """Wrap a coroutine function, as `_raising_tool_errors` wraps an ordinary function."""

    @wraps(fn)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await fn(*args, **kwargs)
        except (CscError, OSError) as error:
            raise ToolError(str(as_csc_error(error))) from error

    return call
