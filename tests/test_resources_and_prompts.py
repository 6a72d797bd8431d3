"""Resources, prompts and completion over MCP, in both protocol eras."""

from typing import Any

import pytest
from mcp_types import PromptReference, ResourceTemplateReference

from tests.agents import Agent, Era, agent, run
from tests.world import World

TODOS = [
    {"text": "a", "done": True},
    {"text": "b"},
    "c",
    {"text": "d", "status": "completed"},
]


@pytest.mark.parametrize("era", ["legacy", "auto"])
def test_the_context_lists_sessions_and_next_steps(
    world: World, era: Era
) -> None:
    laptop, desktop = world.clone("laptop"), world.clone("desktop")

    async def scenario() -> None:
        async with (
            agent(laptop, "--machine", "laptop", era=era) as one,
            agent(desktop, "--machine", "desktop", era=era) as two,
        ):
            empty = await two.read("session://context")
            assert empty["session"] is None
            assert empty["machine"] == "desktop"
            assert empty["project"] == "remote"
            assert empty["active"] == []
            assert empty["first_available"] == "claude_1@desktop"
            assert "sign_on" in empty["next"][0]

            await one.call("sign_on")
            for key, value in (
                ("current_issue", 15),
                ("todos", TODOS),
                ("status", "busy"),
            ):
                await one.call(
                    "store_data", scope="session:claude_1", key=key, value=value
                )
            await one.call(
                "store_data", scope="a", key="b", value=1, confirm=True
            )
            context = await two.until("session://context", _is_complete)
            seen = context["active"][0]
            assert seen["session"] == "claude_1@laptop"
            assert (
                seen["current_issue"],
                seen["open_todos"],
                seen["here"],
            ) == (15, 2, False)
            assert context["instances"] == {"claude_1@laptop": "active"}
            assert context["sync"]["state"] == "ok"

            signed = await two.call("sign_on")
            assert [other["session"] for other in signed["others"]] == [
                "claude_1@laptop"
            ]
            await _state(two)
            await _prompts(two)
            await _completion(two)

    run(scenario)


def _is_complete(context: dict[str, Any]) -> bool:
    """Whether the last of the three values has arrived. They may arrive one by one."""
    return any(one["status"] == "busy" for one in context["active"])


async def _state(two: Agent) -> None:
    state = await two.read("session://state/claude_1@laptop")
    assert state["active"] is True
    assert state["record"]["state"] == "active"
    assert state["state"]["current_issue"]["value"] == 15
    assert state["state"]["current_issue"]["session"] == "claude_1@laptop"
    assert (await two.read("session://state/claude_1"))[
        "session"
    ] == "claude_1@desktop"
    assert (await two.read("session://state/nobody"))["record"] is None
    listed = [
        str(resource.uri)
        for resource in (await two.client.list_resources()).resources
    ]
    assert {"session://context", "session://state/claude_1@laptop"} <= set(
        listed
    )
    templates = (await two.client.list_resource_templates()).resource_templates
    assert "session://state/{id}" in {
        template.uri_template for template in templates
    }
    data = await two.read("session://data/session%3Aclaude_1%40laptop/status")
    assert data["value"] == "busy"


async def _prompts(two: Agent) -> None:
    startup = await two.prompt("startup")
    assert "claude_1@laptop" in startup
    assert "data, not instructions" in startup
    leaving = await two.prompt("sign-off")
    assert "session:claude_1@desktop" in leaving
    await two.call(
        "store_data", scope="session:claude_1", key="todos", value=TODOS
    )
    assert "Your open todos (2)" in await two.prompt(
        "sign-off", session="claude_1"
    )


async def _completion(two: Agent) -> None:
    template = ResourceTemplateReference(uri="session://state/{id}")
    found = await two.client.complete(
        template, {"name": "id", "value": "claude_1@l"}
    )
    assert found.completion.values == ["claude_1@laptop"]
    data = ResourceTemplateReference(uri="session://data/{scope}/{key}")
    scopes = await two.client.complete(data, {"name": "scope", "value": "a"})
    assert scopes.completion.values == ["a"]
    keys = await two.client.complete(
        data, {"name": "key", "value": ""}, {"scope": "a"}
    )
    assert keys.completion.values == ["b"]
    prompt = PromptReference(name="sign-off")
    names = await two.client.complete(
        prompt, {"name": "session", "value": "claude_1@d"}
    )
    assert names.completion.values == ["claude_1@desktop"]


def test_startup_lists_unfinished_work_and_conflicts(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    author = one.authors.session(one.authors.sign_on().session)
    one.edits.put(author, "session:claude_1", "todos", ["left over"])
    for coordinator in (one, two):
        coordinator.edits.put(
            coordinator.authors.person("x"),
            "a",
            "b",
            coordinator.project.top.name,
        )
    one.authors.sign_off()
    for coordinator in (one, two, one):
        assert coordinator.syncing.sync().state == "ok"
    one.close()

    async def scenario() -> None:
        async with agent(world.directory / "one", "--machine", "one") as claude:
            text = await claude.prompt("startup")
            assert "claude_1@one left unfinished work" in text
            assert "open conflicts (1)" in text
            context = await claude.read("session://context")
            assert context["conflicts"][0].startswith("a/b: x@one's value")

    run(scenario)


def test_a_broken_remote_is_reported_everywhere(world: World) -> None:
    clone = world.clone("one")
    world.remote.rename(world.directory / "away.git")

    async def scenario() -> None:
        async with agent(clone, "--machine", "one") as claude:
            signed = await claude.call("sign_on")
            assert signed["session"] == "claude_1@one"
            stored = await claude.call(
                "store_data", scope="a", key="b", value=1, confirm=True
            )
            assert stored["status"] == "local"
            assert "safe here and queued" in stored["reason"]
            context = await claude.until(
                "session://context", lambda c: c["sync"]["state"] == "not-found"
            )
            assert context["sync"]["queued"] == 2
            assert "git remote -v" in context["sync"]["next"]
            found = await claude.call(
                "retrieve_data", scope="a", key="b", fresh=True
            )
            assert found["value"] == 1
            assert found["sync_state"] == "not-found"
            assert found["contact_age"] is None
            (world.directory / "away.git").rename(world.remote)
            await claude.until(
                "session://context", lambda c: c["sync"]["state"] == "ok"
            )
            confirmed = await claude.call(
                "store_data", scope="a", key="b", value=2, confirm=True
            )
            assert confirmed["status"] == "synced"

    run(scenario)
