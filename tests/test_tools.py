"""The tools as a client has them: over a real stdio process, in both protocol eras."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator.results.base import Result
from csc_git.server.host import Host
from csc_git.server.tools import tools
from tests.agents import Agent, Era, agent, run
from tests.world import World, git


@pytest.mark.parametrize("era", ["legacy", "auto"])
def test_every_tool_returns_its_documented_result(
    world: World, era: Era
) -> None:
    clone = world.clone("laptop")

    async def scenario() -> None:
        async with agent(clone, "--machine", "laptop", era=era) as claude:
            await _whole_round(claude)

    run(scenario)


async def _whole_round(claude: Agent) -> None:
    signed = await claude.call("sign_on")
    assert signed["session"] == signed["session_id"] == "claude_1@laptop"
    assert signed["machine"] == "laptop"
    assert signed["project"] == "remote"
    assert signed["full_scope_prefix"] == "laptop:remote"
    assert signed["others"] == []

    stored = await claude.call(
        "store_data", scope="issue:15", key="status", value={"a": [1, None]}
    )
    assert (stored["scope"], stored["key"], stored["status"]) == (
        "issue:15",
        "status",
        "local",
    )
    again = await claude.call(
        "store_data",
        scope="issue:15",
        key="status",
        value={"a": [1, None]},
        confirm=True,
    )
    assert again["revision"] == stored["revision"]
    assert again["op"] is None
    assert again["status"] == "synced"

    found = await claude.call(
        "retrieve_data", scope="issue:15", key="status", fresh=True
    )
    assert found["found"] is True
    assert found["value"] == {"a": [1, None]}
    assert found["revision"] == stored["revision"]
    assert found["session"] == "claude_1@laptop"
    assert found["contact_age"] < 20
    missing = await claude.call(
        "retrieve_data", scope="issue:15", key="nothing"
    )
    assert missing["found"] is False
    assert missing["value"] is None

    await claude.call("store_data", scope="issue:16", key="status", value=1)
    await claude.call("store_data", scope="issue:16", key="other", value=2)
    await claude.call(
        "store_data", scope="plan", key="x", value=3, session=signed["session"]
    )
    assert (await claude.call("list_scopes", pattern="issue:*"))["scopes"] == [
        "issue:15", "issue:16",
    ]  # fmt: skip
    assert (await claude.call("list_keys", scope="issue:16"))["keys"] == [
        "other",
        "status",
    ]

    gone = await claude.call("delete_data", scope="plan", key="x")
    assert gone["deleted"] is True
    assert gone["op"]
    assert (await claude.call("delete_data", scope="plan", key="x"))[
        "deleted"
    ] is False
    all_gone = await claude.call("delete_scope", scope="issue:16")
    assert (all_gone["deleted"], all_gone["count"]) == (True, 2)
    assert (await claude.call("list_keys", scope="issue:16"))["keys"] == []

    assert await claude.call("sign_off") == {
        "status": "signed_off",
        "session": "claude_1@laptop",
    }
    assert "sign_on" in await claude.refused(
        "store_data", scope="a", key="b", value=1
    )


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 1.5, 1e300, 2**70, "", "[1]", '{"a": 1}', "null", "12", "é\u202e\x1b[1m",
        [], {}, [[], {}], {"": {"": 0}}, "a" * 100_000,
    ],
)  # fmt: skip
def test_a_value_is_returned_exactly_as_stored(
    world: World, value: Any
) -> None:
    coordinator = world.open("one")
    stored = coordinator.edits.put(
        coordinator.authors.person("tester"), "v", "k", value
    )
    assert stored.op
    back = coordinator.values.retrieve("v", "k").value
    assert back == value
    assert type(back) is type(value)


def test_a_string_that_looks_like_json_stays_a_string(world: World) -> None:
    clone = world.clone("one")

    async def scenario() -> None:
        async with agent(clone) as claude:
            await claude.call("sign_on")
            for text in ("[1, 2]", '{"a": 1}', "null", "true", "12"):
                await claude.call("store_data", scope="s", key="k", value=text)
                assert (await claude.call("retrieve_data", scope="s", key="k"))[
                    "value"
                ] == text

    run(scenario)


DEEP: Any = 0
for _ in range(101):
    DEEP = [DEEP]

BAD_CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("store_data", {"scope": "", "key": "k", "value": 1}, "empty"),
    ("store_data", {"scope": "a::b", "key": "k", "value": 1}, "empty"),
    ("store_data", {"scope": "a", "key": "", "value": 1}, "empty"),
    (
        "store_data",
        {"scope": "a" * 600, "key": "k", "value": 1},
        "600 bytes long",
    ),
    (
        "store_data",
        {"scope": "a", "key": "k" * 600, "value": 1},
        "600 bytes long",
    ),
    (
        "store_data",
        {"scope": "a", "key": "k\n", "value": 1},
        "control character",
    ),
    (
        "store_data",
        {"scope": "a\x1b", "key": "k", "value": 1},
        "control character",
    ),
    (
        "store_data",
        {"scope": "a", "key": "k\u202e", "value": 1},
        "control character",
    ),
    (
        "store_data",
        {"scope": ":".join("abcdefghi"), "key": "k", "value": 1},
        "9 segments",
    ),
    (
        "store_data",
        {"scope": "a", "key": "k", "value": "x" * (1 << 20)},
        "the limit is 1,048,576",
    ),
    ("store_data", {"scope": "a", "key": "k", "value": DEEP}, "nested deeper"),
    (
        "store_data",
        {"scope": "sessions", "key": "k", "value": 1},
        "reserved for csc-git",
    ),
    (
        "store_data",
        {"scope": "claims:x", "key": "k", "value": 1},
        "reserved for csc-git",
    ),
    (
        "store_data",
        {"scope": "conflicts", "key": "k", "value": 1},
        "reserved for csc-git",
    ),
    (
        "store_data",
        {"scope": "settings", "key": "k", "value": 1},
        "reserved for csc-git",
    ),
    ("delete_data", {"scope": "conflicts", "key": "k"}, "reserved for csc-git"),
    ("delete_scope", {"scope": "sessions"}, "reserved for csc-git"),
    (
        "store_data",
        {"scope": "a", "key": "k", "value": 1, "session": "claude_7"},
        "not signed on",
    ),
    (
        "store_data",
        {"scope": "a", "key": "k", "value": 1, "session": "x y"},
        "not a session name",
    ),
    ("store_data", {"scope": "a", "key": "k"}, "value"),
    ("list_scopes", {"pattern": "issue:["}, "has a [ without a ]"),
    ("list_scopes", {"pattern": ""}, "0 characters"),
    ("list_scopes", {"pattern": "a\nb"}, "control character"),
    ("list_keys", {"scope": ""}, "empty"),
    ("sign_on", {"session_id": "a b"}, "not a session name"),
    (
        "sign_on",
        {"session_id": "x@elsewhere"},
        "belongs to the machine elsewhere",
    ),
]


def test_bad_input_is_explained_and_changes_nothing(
    world: World,
) -> None:
    clone = world.clone("one")

    async def scenario() -> None:
        async with agent(clone, "--no-sync", "--machine", "one") as claude:
            await claude.call("sign_on")
            store = clone / ".git" / "csc" / "state.git"
            before = git("rev-parse", "csc/state", cwd=store)
            for tool, arguments, expected in BAD_CALLS:
                error = await claude.refused(tool, **arguments)
                assert expected in error, (tool, error)
                assert "Traceback" not in error
            assert git("rev-parse", "csc/state", cwd=store) == before

    run(scenario)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e999", '"\\ud800"'])
def test_invalid_json_on_the_wire_is_not_stored(
    world: World, literal: str
) -> None:
    # sent as raw bytes, since a well-behaved client could not send it
    clone = world.clone("one")
    hello = {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    }  # fmt: skip
    lines = [
        json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        ),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json.dumps(_call(2, "sign_on", {})),
        json.dumps(
            _call(3, "store_data", {"scope": "a", "key": "k", "value": 0})
        ).replace('"value": 0', f'"value": {literal}'),
        json.dumps(_call(4, "retrieve_data", {"scope": "a", "key": "k"})),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "csc_git", "serve", "--no-sync"],
        cwd=clone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    answers: dict[int | None, dict[str, Any]] = {}
    for line, awaited in zip(lines, (1, None, 2, None, 4), strict=True):
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        while awaited is not None and awaited not in answers:
            answer = json.loads(process.stdout.readline())
            answers[answer.get("id")] = answer
    process.communicate(timeout=30)
    # a line that is no JSON may be dropped unanswered; what counts is that nothing is stored
    refused = answers.get(3, {"error": "dropped"})
    assert "error" in refused or refused["result"]["isError"]
    assert answers[4]["result"]["structuredContent"]["found"] is False


def _call(number: int, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": "tools/call",
        "params": params,
    }


def test_the_tool_list_is_small_typed_and_annotated(world: World) -> None:
    clone = world.clone("one")

    async def scenario() -> None:
        async with agent(clone) as claude:
            listed = await claude.client.list_tools()
            size = len(listed.model_dump_json(by_alias=True, exclude_none=True))
            assert size < 16_000, size
            first = {
                "sign_on", "store_data", "retrieve_data", "list_keys", "list_scopes",
                "delete_data", "delete_scope", "sign_off",
            }  # fmt: skip
            assert {tool.name for tool in listed.tools} == first | {
                "edit", "claim", "release", "wait_for_changes", "history", "list_conflicts",
                "resolve_conflict",
            }  # fmt: skip
            kept = [tool for tool in listed.tools if tool.name in first]
            eight = listed.model_copy(update={"tools": kept})
            assert (
                len(eight.model_dump_json(by_alias=True, exclude_none=True))
                < 10_000
            )
            for tool in listed.tools:
                assert tool.description
                assert tool.output_schema
                assert tool.annotations
                assert tool.annotations.read_only_hint is not None
                if tool.name != "sign_on":
                    assert "session" in tool.input_schema["properties"]

    run(scenario)


def test_tools_report_that_there_is_no_repository(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()

    async def scenario() -> None:
        async with agent(nowhere) as claude:
            error = await claude.refused("sign_on")
            assert "no repository" in error
            assert "git init" in error
            git(
                "init", "-q", cwd=nowhere
            )  # and as soon as there is one, they work
            assert (await claude.call("sign_on"))["session"].startswith(
                "claude_1@"
            )

    run(scenario)


def test_all_result_models_are_built_before_the_first_call(
    world: World,
) -> None:
    """Two threads that build one at the same time can fail."""
    tools(Host(world.clone("one"), {"sync": False}))
    unbuilt, models = list[str](), list(Result.__subclasses__())
    while models:
        model = models.pop()
        models += model.__subclasses__()
        unbuilt += [] if model.__pydantic_complete__ else [model.__name__]
    assert unbuilt == []


def test_a_bad_branch_name_is_refused_over_mcp(clone_cwd: Path) -> None:
    async def scenario() -> None:
        async with agent(clone_cwd, "--branch", "a..b") as claude:
            assert "as the name of a branch" in await claude.refused("sign_on")

    run(scenario)


def test_wrong_arguments_are_explained(clone_cwd: Path) -> None:
    async def scenario() -> None:
        async with agent(clone_cwd) as claude:
            await claude.call("sign_on")
            unknown = await claude.refused(
                "store_data", scope="a", key="k", value=1, confrim=True
            )
            assert unknown.startswith(
                "No argument is called confrim. The arguments are: scope, key"
            )
            missing = await claude.refused("store_data", scope="a", value=1)
            assert "key: Field required. Nothing was changed." in missing
            assert "pydantic" not in missing
            assert (await claude.call("list_scopes"))["scopes"] == ["sessions"]
            assert "session name" in await claude.refused(
                "sign_on", session_id=""
            )

    run(scenario)
