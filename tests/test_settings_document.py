"""JSON documents with comments: edited in place, and restored byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csc_git.clients.document import Document
from csc_git.errors import InvalidSetting

small_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)

small_values = st.recursive(
    small_scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)

small_objects = st.dictionaries(st.text(max_size=4), small_values, max_size=4)


@settings(deadline=None)
@given(
    before=small_objects,
    indent=st.sampled_from([None, 2, "\t"]),
    value=small_values,
)
def test_an_inserted_member_can_be_removed_again(
    before: Any, indent: Any, value: Any
) -> None:
    text = json.dumps(before, indent=indent)
    document = Document(text)
    document.put(("our servers", "csc-git"), {"command": value})
    assert json.loads(document.text) == {
        **before,
        "our servers": {"csc-git": {"command": value}},
    }
    (inserted,) = document.inserted
    assert Document(document.text).take_out(inserted)
    edited = Document(document.text)
    edited.remove("our servers", "csc-git")
    assert json.loads(edited.text) == {**before, "our servers": {}}


@settings(deadline=None)
@given(before=small_objects)
def test_an_inserted_element_can_be_removed_again(before: Any) -> None:
    text = json.dumps({**before, "hooks": {"A": [1, 2]}})
    document = Document(text)
    document.prepend(("hooks", "A"), "ours")
    document.prepend(("hooks", "B"), "ours")
    assert json.loads(document.text)["hooks"] == {
        "B": ["ours"],
        "A": ["ours", 1, 2],
    }
    document.remove_items(("hooks", "A"), lambda item: item == "ours")
    document.remove_items(("hooks", "B"), lambda item: item == "ours")
    assert json.loads(document.text) == {**before, "hooks": {"A": [1, 2]}}


def test_a_duplicated_member_is_left_alone() -> None:
    text = '{"hooks": {"A": ["theirs"]}, "hooks": {"A": ["ours"]}}'
    with pytest.raises(InvalidSetting):
        Document(text).remove_items(("hooks", "A"), lambda item: item == "ours")
    with pytest.raises(InvalidSetting):
        Document('{"a": {"b": 1}, "a": {"b": 2}}').remove("a", "b")


def test_a_member_followed_by_a_new_one_can_be_removed() -> None:
    document = Document('{"mcpServers": {\n  }\n}')
    document.put(("mcpServers", "csc-git"), {"command": "c"})
    (inserted,) = document.inserted
    edited = Document(
        document.text.replace('"c"\n  }', '"c"\n  },\n  "other": {}')
    )
    assert (
        not edited.take_out(inserted) or edited.get("mcpServers", "other") == {}
    )
    if edited.get("mcpServers", "csc-git"):
        edited.remove("mcpServers", "csc-git")
    assert json.loads(edited.text) == {"mcpServers": {"other": {}}}


def test_backslashes_in_strings_are_kept() -> None:
    text = '{"a": {"cwd": "C:\\\\x64\\\\", "b": "\\\\\\""}, /* \\ */ "servers": {},}'
    document = Document(text)
    document.put(("servers", "csc-git"), {})
    assert document.text.startswith('{"a": {"cwd": "C:\\\\x64\\\\"')
    assert document.get("servers", "csc-git") == {}


def test_a_parent_that_is_no_object_is_refused() -> None:
    for text in ('{"a": 1}', '{"a": []}', '{"a": null}'):
        with pytest.raises(InvalidSetting):
            Document(text).put(("a", "b"), 1)
    with pytest.raises(InvalidSetting):  # the second one counts
        Document('{"a": {"c": 1}, "a": {}}').put(("a", "b"), 1)
