"""A scripted model: a server of the Messages API on loopback that returns the calls of a script.

With it a real Claude Code runs our hooks and calls our tools, without an account or chance.
The form of requests and answers: https://docs.anthropic.com/en/api/messages-streaming
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool that the model wants called; `before`, something to wait for."""

    tool: str
    arguments: Json
    before: Callable[[], object] = lambda: None


@dataclass
class ScriptedModel:
    """A model that calls tools one after the other, and then is done.

    Attributes:
        calls: The calls it makes.
        requests: The requests it received.
        url: The URL of its server.
    """

    calls: Sequence[Call]
    requests: list[Json] = field(default_factory=list)
    url: str = ""

    def results(self) -> list[str]:
        """The results of the calls, as the model received them."""
        return [
            json.dumps(block["content"])
            for block in _results(self.requests[-1])
        ]

    def text(self) -> str:
        """All text that the model was sent."""
        return json.dumps(
            [request["messages"] for request in self.requests],
            ensure_ascii=False,
        )

    def answer(self, request: Json) -> tuple[Json, str]:
        """The next block of content, and why it ends there."""
        done = len(_results(request))
        offered = {tool["name"] for tool in request.get("tools", [])}
        if offered:
            self.requests.append(request)
        if not offered or done >= len(self.calls):
            return {"type": "text", "text": "done"}, "end_turn"
        call = self.calls[done]
        call.before()
        block = {"type": "tool_use", "id": f"toolu_{done}", "name": call.tool}
        return {**block, "input": call.arguments}, "tool_use"


@contextmanager
def scripted_model(*calls: Call) -> Iterator[ScriptedModel]:
    """A model behind a server of its own."""
    one = ScriptedModel(calls)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Handler,), {"model": one})
    )
    one.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ScriptedModel

    def do_HEAD(self) -> None:
        self._send("application/json", b"")

    def do_GET(self) -> None:
        self._send("application/json", b"{}")

    def do_POST(self) -> None:
        request = json.loads(
            self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}"
        )
        if "count_tokens" in self.path or "/messages" not in self.path:
            return self._send("application/json", b'{"input_tokens": 1}')
        block, why = self.model.answer(request)
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": request["model"],
            "content": [block], "stop_reason": why, "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }  # fmt: skip
        if not request.get("stream"):
            return self._send("application/json", json.dumps(message).encode())
        events = "".join(
            f"event: {e['type']}\ndata: {json.dumps(e)}\n\n"
            for e in _events(message)
        )
        return self._send("text/event-stream", events.encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Print nothing, so that the test's own output stays readable."""


def _events(message: Json) -> Iterator[Json]:
    (block,) = message["content"]
    is_text = block["type"] == "text"
    begun = {**block, "text": ""} if is_text else {**block, "input": {}}
    rest: Json = (
        {"type": "text_delta", "text": block["text"]}
        if is_text
        else {
            "type": "input_json_delta",
            "partial_json": json.dumps(block["input"]),
        }
    )
    why = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {
        "type": "message_start",
        "message": {**message, "content": [], "stop_reason": None},
    }
    yield {"type": "content_block_start", "index": 0, "content_block": begun}
    yield {"type": "content_block_delta", "index": 0, "delta": rest}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": why, "usage": {"output_tokens": 1}}
    yield {"type": "message_stop"}


def _results(request: Json) -> list[Json]:
    """The results of calls in a request."""
    blocks = [
        block
        for message in request["messages"]
        if message["role"] == "user" and isinstance(message["content"], list)
        for block in message["content"]
    ]
    return [block for block in blocks if block.get("type") == "tool_result"]
