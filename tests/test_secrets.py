"""Secrets in data: refused before the commit, allowed with a reason that the history keeps."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.core.key import parse_key
from csc_git.core.secret import find_secret
from csc_git.errors import LooksLikeSecret
from tests.agents import agent, run
from tests.credentials import AWS_KEY_ID, GITHUB_TOKEN, false_cases, true_cases
from tests.world import REF, World, git, person, put, state_of

KEY = parse_key("note", "k")

TOKEN = "ghp_" + "aB3" * 12


@pytest.mark.parametrize(("kind", "value"), true_cases())
def test_each_kind_of_credential_is_found(kind: str, value: Any) -> None:
    assert find_secret(KEY, value), kind


@pytest.mark.parametrize("value", false_cases(), ids=range(len(false_cases())))
def test_ordinary_values_are_not_refused(value: Any) -> None:
    assert find_secret(KEY, value) is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_credential_is_found_in_any_text(before: str, after: str) -> None:
    assert find_secret(KEY, [before + " " + TOKEN + " " + after])


@pytest.mark.parametrize(
    "unit", ["x", "sk-", "://a", "eyJ", "eyJ.", "aws key ", "1234567890:"]
)
def test_the_search_takes_linear_time(unit: str) -> None:
    """A long line is searched in pieces. As a whole, these lines took minutes."""
    find_secret(KEY, "")  # loads the rules
    taken = []
    for size in (1 << 17, 1 << 19):
        began = time.process_time()
        find_secret(KEY, unit * (size // len(unit)))
        taken.append(time.process_time() - began)
    assert taken[1] < 8 * taken[0]  # four times as long; squared would be 16


def test_a_refused_credential_is_written_nowhere(world: World) -> None:
    one = world.open("one")
    put(one, "a", "k", 1)
    author, tip = person(one), one.store.branch.tip
    with pytest.raises(LooksLikeSecret) as error:
        one.edits.put(author, "a", "k", {"token": TOKEN})
    assert "GitHub Token in a/k" in str(error.value)
    assert "Nothing was stored" in str(error.value)
    assert TOKEN not in str(error.value)
    with pytest.raises(LooksLikeSecret):
        one.edits.put(author, "a", TOKEN, 1)
    with pytest.raises(LooksLikeSecret):
        one.edits.edit(
            author, [Change("a", "x", "put", 1), Change("a", "y", "put", TOKEN)]
        )
    name = one.authors.sign_on().session
    with pytest.raises(LooksLikeSecret):
        one.claims.claim(name, ["issue:15"], note=f"with {TOKEN}")
    assert one.values.list_keys("a").keys == ["k"]
    assert _holding(one.store.repository.path, TOKEN) == []
    assert tip


def test_a_conflict_is_not_resolved_with_a_credential(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    for coordinator in (one, two):
        put(coordinator, "a", "k", coordinator.clone.machine)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    (conflict,) = two.conflicts.open()
    with pytest.raises(LooksLikeSecret):
        two.conflicts.resolve(person(two), conflict.conflict, "value", TOKEN)
    assert len(two.conflicts.open()) == 1


def test_the_reason_is_kept_when_the_edit_is_replayed(
    world: World,
) -> None:
    one, two = world.open("one"), world.open("two")
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    put(two, "b", "k", 1)
    why = "an example\nof the documentation"
    stored = one.edits.put(person(one), "a", "k", TOKEN, allow_secret=why)
    assert [state_of(two), state_of(one)] == ["ok", "ok"]
    (record,) = [record for record in world.log() if record.op == stored.op]
    assert record.outcome == "applied"
    assert (
        record.secret
        == "GitHub Token in a/k; allowed: an example of the documentation"
    )
    with pytest.raises(LooksLikeSecret):
        one.edits.put(person(one), "a", "k", TOKEN, allow_secret="  ")


def test_a_reason_without_a_secret_is_not_kept(world: World) -> None:
    one = world.open("one")
    one.edits.put(person(one), "a", "k", 1, allow_secret="just in case")
    log = git("log", "--format=%B", "csc/state", cwd=one.store.repository.path)
    assert "just in case" not in log


def test_the_refusal_explains_how_to_allow_a_credential(world: World) -> None:
    clone = world.clone("one")

    async def scenario() -> None:
        async with agent(clone) as one:
            await one.call("sign_on")
            words = await one.refused(
                "store_data", scope="a", key="k", value=f"use {TOKEN}"
            )
            assert "allow_secret" in words
            assert TOKEN not in words
            stored = await one.call(
                "store_data",
                scope="a",
                key="k",
                value=f"use {TOKEN}",
                allow_secret="revoked",
            )
            assert stored["revision"]
            edited = await one.call(
                "edit",
                changes=[{"scope": "a", "key": "k2", "value": TOKEN}],
                allow_secret="revoked",
            )
            assert edited["op"]

    run(scenario)


def _holding(repository: Path, text: str) -> list[str]:
    """The objects of a repository that contain a text."""
    listed = git(
        "cat-file", "--batch-all-objects", "--batch-check", cwd=repository
    )
    ids = [line.split()[0] for line in listed.splitlines()]
    return [
        one
        for one in ids
        if text in json.dumps(git("cat-file", "-p", one, cwd=repository))
    ]


@pytest.mark.parametrize("length", [100, 600, 900, 3000])
def test_web_tokens_of_any_length_are_found_anywhere(length: int) -> None:
    parts = [{"alg": "RS256", "typ": "JWT"}, {"sub": "x" * length}, "s" * 300]
    token = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode())
        .rstrip(b"=")
        .decode()
        for part in parts
    )
    for before in range(0, 2000, 100):
        assert find_secret(parse_key("a", "k"), "y " * (before // 2) + token)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda one: one.authors.sign_on(GITHUB_TOKEN),
        lambda one: one.edits.put(person(one), "s", GITHUB_TOKEN, 1),
        lambda one: one.edits.put(person(one), f"x:{AWS_KEY_ID}", "k", 1),
        lambda one: one.edits.delete(
            person(one), "s", GITHUB_TOKEN, if_revision="absent"
        ),
        lambda one: one.edits.edit(
            person(one),
            [
                Change("s", "ok", "put", 1),
                Change("s", AWS_KEY_ID, "delete", if_revision="absent"),
            ],
        ),
        lambda one: one.edits.edit(
            person(one),
            [
                Change("s", "ok", "put", 1),
                Change("s", AWS_KEY_ID, "require", if_revision="absent"),
            ],
        ),
        lambda one: one.edits.put(
            person(one),
            "s",
            "k",
            AWS_KEY_ID,
            allow_secret=f"it is {GITHUB_TOKEN}",
        ),
        lambda one: one.claims.claim(None, ["src"], note=GITHUB_TOKEN),
    ],
)
def test_no_credential_gets_into_a_commit(
    world: World, attempt: Callable[[Coordinator], Any]
) -> None:
    one = world.open("one")
    one.authors.sign_on()
    put(one, "s", "k", 1)
    with pytest.raises(LooksLikeSecret) as caught:
        attempt(one)
    assert "Nothing was stored" in str(caught.value)
    assert state_of(one) == "ok"
    raw = git("log", "--format=%an %cn %B", "-p", REF, cwd=world.remote)
    assert GITHUB_TOKEN not in raw
    assert AWS_KEY_ID not in raw


def test_a_key_that_looks_like_a_credential_can_be_deleted(
    world: World,
) -> None:
    one = world.open("one")
    one.edits.put(
        person(one), "s", GITHUB_TOKEN, 1, allow_secret="revoked long ago"
    )
    done = one.edits.delete(person(one), "s", GITHUB_TOKEN)
    assert done.deleted
    subject = git(
        "log", "-1", "--format=%s", REF, cwd=one.store.repository.path
    )
    assert subject == "delete a key of s"
