"""Export and import: an import is one edit, and what can't be imported changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import csc
from tests.world import World, git, put


def test_exported_values_can_be_imported(world: World, clone: Path) -> None:
    git("init", "-q", "alone", cwd=world.directory)
    there = world.directory / "alone"
    one, two = world.open(clone), world.open(there)
    one.authors.sign_on()
    one.claims.claim(None, ["src"])
    values: dict[str, Any] = {
        "k": {"a": [1, 2.5, None, "é\u2028"]},
        "A b/c": "x",
        "empty": "",
    }
    for key, value in values.items():
        put(one, "issue:15", key, value)
    put(one, "other", "k", 1)
    out = csc("export", cwd=clone).stdout
    lines = [json.loads(line) for line in out.splitlines()]
    assert {
        line["key"]: line["value"]
        for line in lines
        if line["scope"] == "issue:15"
    } == values
    assert {line["scope"] for line in lines} == {
        "issue:15",
        "other",
    }  # no sessions, no claims
    assert csc("export", "oth*", cwd=clone).stdout.count("\n") == 1
    put(two, "other", "k", 2)
    put(two, "other", "kept", 3)
    before = len(world.log(two.store.repository.path))
    dry = csc("import", "-", "--dry-run", cwd=there, stdin=out).stdout
    assert "+ issue:15/k" in dry
    assert "~ other/k" in dry
    assert "3 keys new, 1 changed, 0 unchanged: a dry run" in dry
    assert len(world.log(two.store.repository.path)) == before
    done = json.loads(csc("import", "--json", "-", cwd=there, stdin=out).stdout)
    assert (len(done["added"]), done["changed"]) == (3, ["other/k"])
    assert [r.op for r in world.log(two.store.repository.path)].count(
        done["op"]
    ) == 1
    assert two.values.retrieve("issue:15", "k").value == values["k"]
    assert two.values.retrieve("other", "kept").value == 3
    again = csc("import", "-", cwd=there, stdin=out).stdout
    assert again == "0 keys new, 0 changed, 4 unchanged.\n"


def test_the_past_can_be_exported(world: World, clone: Path) -> None:
    one = world.open(clone)
    put(one, "a", "k", 1)
    then = one.store.branch.tip
    put(one, "a", "k", 2)
    (line,) = csc("export", "--at", str(then), cwd=clone).stdout.splitlines()
    assert json.loads(line)["value"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"scope": "a", "key": "k", "value": 1}\n{"scope": "a"', "line 2"),
        ('{"scope": "a", "key": "k"}', "line 1: value: Field required"),
        ("[1]", "line 1"),
        ('{"scope": "", "key": "k", "value": 1}', "line 1"),
        ('{"scope": "a", "key": "k", "value": NaN}', "line 1"),
        ('{"scope": 1, "key": "k", "value": 1}', "line 1"),
        (
            '{"scope": "sessions", "key": "k", "value": 1}',
            "reserved for csc-git itself",
        ),
        (
            '{"scope": "a", "key": "k", "value": "ghp_' + "a1B2" * 9 + '"}',
            "credential",
        ),
        (
            '{"scope": "a", "key": "k", "value": "' + "x" * 1_100_000 + '"}',
            "a/k: ",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_changes_nothing(
    clone: Path, text: str, words: str
) -> None:
    for how in [], ["--dry-run"]:
        error = csc("import", "-", *how, cwd=clone, stdin=text, code=1).stderr
        assert words in error
        assert "Traceback" not in error
    assert csc("ls", cwd=clone).stdout == ""


def test_a_directory_of_claude_session_coordinator_is_imported(
    clone: Path,
) -> None:
    """Its local adapter writes a file for each scope, with `__` for `:` and `/`."""
    state = clone / ".claude" / "session-state"
    state.mkdir(parents=True)
    files: dict[str, dict[str, Any]] = {
        "laptop__acme__shop__session__claude_1.json": {
            "current_issue": 15,
            "todos": ["a"],
        },
        "laptop__acme__shop__issue__15.json": {"status": "open"},
        "laptop__acme__shop__instances.json": {
            "registry": {"claude_1": "taken"}
        },
    }
    for name, data in files.items():
        metadata = {key: {"updated_at": "2026-01-01T00:00:00"} for key in data}
        (state / name).write_text(
            json.dumps({"data": data, "metadata": metadata})
        )
    csc("import", str(state), cwd=clone)
    assert csc("ls", cwd=clone).stdout.split() == [
        "issue:15",
        "session:claude_1@laptop",
    ]
    shown = csc("get", "session:claude_1@laptop", "todos", cwd=clone).stdout
    assert json.loads(shown) == ["a"]
    (state / "stray.json").write_text('{"data": {"k": 1}}')
    assert (
        "stray.json: the project's registry file is missing; its name would end in __instances.json"
        in csc("import", str(state), cwd=clone, code=1).stderr
    )
    (state / "bad.json").write_text("{")
    assert "bad.json" in csc("import", str(state), cwd=clone, code=1).stderr


def test_a_coordinator_project_without_a_remote_is_imported(
    clone: Path,
) -> None:
    """The project's name has one part then, which must not be taken for a part of the scope."""
    state = clone / "state"
    state.mkdir()
    files: dict[str, dict[str, Any]] = {
        "laptop__shop__session__claude_1": {"k": 1},
        "laptop__shop__session__my__id": {"k": 2},
        "laptop__shop__plan": {"k": 3},
        "laptop__shop__week__instances": {"k": 4},
        "laptop__shop__instances": {"registry": {"claude_1": "taken"}},
    }
    for name, data in files.items():
        (state / f"{name}.json").write_text(json.dumps({"data": data}))
    csc("import", str(state), cwd=clone)
    assert csc("ls", cwd=clone).stdout.split() == [
        "plan", "session:claude_1@laptop", "session:my@laptop:id", "week:instances",
    ]  # fmt: skip


def test_two_files_with_different_values_are_refused(clone: Path) -> None:
    state = clone / "state"
    state.mkdir()
    for number, machine in enumerate(["laptop", "desktop"]):
        registry = {"data": {"registry": {"claude_1": "taken"}}}
        (state / f"{machine}__shop__instances.json").write_text(
            json.dumps(registry)
        )
        (state / f"{machine}__shop__plan.json").write_text(
            json.dumps({"data": {"k": number}})
        )
    error = csc("import", str(state), cwd=clone, code=1).stderr
    assert "the key plan/k has another value in another file" in error
    assert csc("ls", cwd=clone).stdout == ""
