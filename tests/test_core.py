"""The rules of `core/` as properties."""

import json
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from csc_git.core.clock import (
    EPOCH,
    TICK,
    TRUSTED_AHEAD,
    format_time,
    parse_time,
    tick,
)
from csc_git.core.conflict import Conflict
from csc_git.core.edit import Kind, Outcome, Record
from csc_git.core.key import (
    MAX_NAME_BYTES,
    Key,
    check_name,
    decode,
    encode,
    parse_scope,
)
from csc_git.core.lease import Instant, Lease, Sighting, has_lapsed
from csc_git.core.merge import Version, merge
from csc_git.core.pattern import compile_pattern
from csc_git.core.session import parse_session, resolve_scope
from csc_git.core.value import Entry, canonical, parse
from csc_git.errors import (
    InvalidName,
    InvalidPattern,
    InvalidValue,
)

names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]),
    min_size=1,
    max_size=60,
).filter(str.strip)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)  # fmt: skip

values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=10,
)

_LAST = datetime(9998, 12, 31)  # noqa: DTZ001  as Hypothesis wants its bounds

times = st.datetimes(max_value=_LAST, timezones=st.just(UTC))

sessions = st.sampled_from(["a@x", "b@x", "c@y"])

entries = st.builds(Entry, value=values, session=sessions, time=times)

# Names


@given(names, st.booleans())
@example("CON", True)
@example("con.txt", False)
@example("..", True)
@example("-rf", False)
@example(".git", True)
@example("é" * 60, True)
@example("a" * 99 + "/", True)
def test_a_name_is_encoded_reversibly(name: str, directory: bool) -> None:
    encoded = encode(name, directory=directory) + (
        b"" if directory else b".json"
    )
    back = decode(encoded, directory=directory)
    assert back == name or (back is None and b"==" in encoded)
    assert len(encoded) <= 105
    assert not encoded.startswith((b".", b"-", b"~"))
    assert not (directory and b"." in encoded)
    assert encoded.isascii()
    assert encoded == encoded.lower()


@given(names, names, st.booleans())
def test_no_two_names_have_one_encoding(
    one: str, two: str, directory: bool
) -> None:
    same = encode(one, directory=directory) == encode(two, directory=directory)
    assert same == (one == two)


@given(st.binary(max_size=110))
@example(b"+A.json")
@example(b"=2E.json")
@example(b"=61.json")
@example(b"a==0123456789abcdef0123456789abcdef.json")
def test_decoding_accepts_only_what_encoding_makes(component: bytes) -> None:
    try:
        name = decode(component, directory=False)
    except ValueError:
        return
    assert name is None or encode(name, directory=False) + b".json" == component


@pytest.mark.parametrize(
    "name", ["con", "NUL", "lpt1", "com9.txt", "aux", "prn.a.b"]
)
def test_windows_reserved_names_are_escaped(name: str) -> None:
    stem = encode(name, directory=False).split(b".")[0]
    assert stem.startswith((b"=", b"+"))


@pytest.mark.parametrize(
    "scope",
    ["", ":", "a:", ":a", "a::b", "a\x00", "a\x7f", "\x85", "\u2028", "\u202e",
     ":".join("abcdefghi"), "é" * (MAX_NAME_BYTES // 2 + 1), "\ud800"],
)  # fmt: skip
def test_bad_scopes_are_refused(scope: str) -> None:
    with pytest.raises(InvalidName):
        parse_scope(scope)


def test_the_longest_names_are_accepted() -> None:
    check_name("a" * MAX_NAME_BYTES, "key")
    assert Key(("x" * MAX_NAME_BYTES,), "k").is_cut


def test_session_names_are_parsed_with_their_machine() -> None:
    assert str(parse_session("claude_1", "laptop")) == "claude_1@laptop"
    assert str(parse_session("claude_1@other", "laptop")) == "claude_1@other"
    for bad in ("", "@", "a@", "a@b@c", "a b", "-a", "a" * 65, "ä"):
        with pytest.raises(InvalidName):
            parse_session(bad, "laptop")
    assert resolve_scope("session:a", "m") == ("session", "a@m")
    assert resolve_scope("session:a@n:x", "m") == ("session", "a@n", "x")
    assert resolve_scope("issue:a", "m") == ("issue", "a")


# Values


@given(values)
def test_the_canonical_form_is_unique_and_reversible(value: Any) -> None:
    encoded = canonical(value)
    back = parse(encoded)
    assert canonical(back) == encoded
    assert canonical(json.loads(json.dumps(value))) == encoded


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ({"b": 1, "a": [1.0, -0.0, 1e16, 10**20]},
         '{\n  "a": [\n    1.0,\n    -0.0,\n    1e+16,\n    100000000000000000000\n'
         '  ],\n  "b": 1\n}'),
        ('é\n\x1f\x7f\u2028"\\/', '"é\\n\\u001f\x7f\u2028\\"\\\\/"'),
        ([], "[]"), ({}, "{}"), (True, "true"), (None, "null"),
    ],
)  # fmt: skip
def test_the_canonical_form_has_these_bytes(value: Any, form: str) -> None:
    assert canonical(value).decode() == form


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[Infinity]", "1e999", '{"a": 1, "a": 2}', '"\\ud800"', "[" * 109 + "]" * 109],
)  # fmt: skip
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any words do
        parse(text)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", {1: 2}, {"a": {1}}, b"x"]
)
def test_a_value_without_a_json_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue):
        canonical(value)


def test_true_and_one_have_different_forms() -> None:
    assert canonical(True) != canonical(1) != canonical(1.0)


@given(
    entries, st.dictionaries(st.sampled_from(["x", "y"]), values, max_size=2)
)
def test_an_entry_is_the_same_after_encoding(
    entry: Entry, extra: dict[str, Any]
) -> None:
    full = replace(entry, extra=extra, authors=("a", "b"), full_name=("s", "k"))
    assert Entry.decode(full.encode()) == full
    assert full.encode().endswith(b"\n}\n")
    assert full.encode().startswith(b'{\n  "value": ')


# Time


@given(times)
def test_times_are_reversible_and_sort_as_text(time: datetime) -> None:
    assert parse_time(format_time(time)) == time
    assert (format_time(time) < format_time(time + TICK)) is True


@given(times, st.lists(times, max_size=3), st.lists(times, max_size=3))
def test_a_new_time_is_later_than_all_times_seen(
    now: datetime, seen: list[datetime], replaced: list[datetime]
) -> None:
    time = tick(now, seen, replaced)
    assert time >= now
    assert all(time > old for old in replaced)
    assert all(time > old for old in seen if old - now <= TRUSTED_AHEAD)
    assert time <= max([now, *replaced, now + TRUSTED_AHEAD]) + TICK


# Edits


conditions = st.dictionaries(
    st.sampled_from(["a/b.json", "c.json"]), st.sampled_from(["absent", "abc"])
)


@given(names, times, st.none() | st.integers(0, 99), conditions, st.sampled_from(Kind),
       st.none() | st.sampled_from(Outcome))  # fmt: skip
def test_a_record_is_the_same_after_parsing_its_message(
    subject: str, clock: datetime, fence: int | None, requires: dict[str, str], kind: Kind,
    outcome: Outcome | None,
) -> None:  # fmt: skip
    subject = "".join(
        c for c in subject if unicodedata.category(c) not in {"Cc", "Zl", "Zp"}
    ).strip()
    record = Record(subject or "x", "op", "a@b", clock, fence, requires, kind)
    if outcome:
        record = record.replayed("0" * 40, outcome, clock)
    assert Record.parse(record.message()) == record


def test_a_subject_that_ends_like_an_outcome_is_kept() -> None:
    record = Record("store a/k (None)", "op", "a@b", EPOCH)
    assert Record.parse(record.message()) == record


@given(st.text())
@example("x\n\nCsc-Op: a\nCsc-Session: b\nCsc-Clock: yesterday\n")
@example(
    "x\n\nCsc-Op: a\nCsc-Session: b\nCsc-Clock: 2026-01-01T00:00:00.000000Z\nCsc-Fence: x\n"
)
def test_any_commit_message_can_be_parsed(message: str) -> None:
    record = Record.parse(message)
    assert record is None or record.op


# Merging


versions = st.builds(Version.of, entries) | st.builds(
    Version, st.none(), sessions, times
)

small = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))

object_versions = st.builds(
    Version.of, st.builds(Entry, value=small, session=sessions, time=times)
)


@given(
    st.none() | entries, versions | object_versions, versions | object_versions
)
def test_both_sides_merge_alike_and_drop_nothing(
    base: Entry | None, ours: Version, theirs: Version
) -> None:
    here, there = merge(base, ours, theirs), merge(base, theirs, ours)
    assert _bytes(here.entry) == _bytes(there.entry)
    if here.outcome is Outcome.LOST:
        assert here.lost == ours
    elif here.outcome is Outcome.APPLIED:
        assert here.lost == theirs
    else:
        assert here.lost is None


@given(
    st.builds(Entry, value=small, session=sessions, time=times),
    object_versions,
    object_versions,
)
def test_a_merge_takes_each_member_from_one_side(
    base: Entry, ours: Version, theirs: Version
) -> None:
    assert ours.entry
    assert theirs.entry
    decided = merge(base, ours, theirs)
    if decided.outcome is not Outcome.MERGED:
        return
    assert decided.entry
    for name in "abc":
        old, mine, yours, now = (
            e.value.get(name)
            for e in (base, ours.entry, theirs.entry, decided.entry)
        )
        assert now == (mine if mine != old else yours)
    assert decided.entry.time == max(ours.time, theirs.time)
    if ours.session != theirs.session:
        assert set(decided.entry.authors) == {ours.session, theirs.session}


def _bytes(entry: Entry | None) -> bytes | None:
    return canonical(entry.value) if entry else None


# Leases


def test_a_lease_lapses_by_time_and_a_later_contact() -> None:
    lease = Lease("h", "c", 1, 60, "active", "")
    seen = Sighting("r1", Instant("boot", 100, 0))
    assert not has_lapsed(lease.seconds, "r1", None, Instant("boot", 999, 0))
    assert not has_lapsed(lease.seconds, "r1", seen, None)
    assert not has_lapsed(
        lease.seconds, "r1", seen, Instant("boot", 159.9, 99_999)
    )
    assert has_lapsed(lease.seconds, "r1", seen, Instant("boot", 160, -5))
    assert not has_lapsed(
        lease.seconds, "r2", seen, Instant("boot", 999, 0)
    )  # renewed
    assert has_lapsed(lease.seconds, "r1", seen, Instant("other boot", 1, 60))
    assert not has_lapsed(
        lease.seconds, "r1", seen, Instant("other boot", 999, -5)
    )


@given(values)
def test_any_value_can_be_checked_for_a_lease(value: Any) -> None:
    assert Lease.from_json(value) is None
    assert Conflict.from_json(value) is None


def test_leases_and_conflicts_are_the_same_after_json() -> None:
    lease = Lease("h", "c", 1, 60, "active", "t", 3)
    assert Lease.from_json(lease.to_json()) == lease
    entry = Entry(1, "a@x", datetime(2026, 1, 1, tzinfo=UTC))
    conflict = Conflict(
        Key(("s",), "k"),
        Outcome.LOST,
        Version.of(entry),
        "absent",
        "b@x",
        entry.time + timedelta(1),
    )
    assert Conflict.from_json(conflict.to_json()) == conflict
    assert (
        conflict.summary() == "s/k: a@x's value of 2026-01-01T00:00:00 was lost"
    )


# Patterns


@pytest.mark.parametrize("pattern", ["", "[", "a[b", "a" * 513, "\x00", "a\nb"])
def test_bad_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "scope", "found"),
    [
        ("issue:*", "issue:15", True), ("issue:*", "issue:15:x", True), ("issue:*", "issue", False),
        ("issue:?", "issue:1", True), ("issue:[12]", "issue:2", True), ("*", "x", True),
        ("issue:[!1]", "issue:1", False), ("ISSUE:*", "issue:1", False),
    ],
)  # fmt: skip
def test_patterns_match_scopes(pattern: str, scope: str, found: bool) -> None:
    assert bool(compile_pattern(pattern).match(scope)) is found


@pytest.mark.parametrize("pattern", ["[]", "[!]", "[z-a]", "a[b", "[!"])
def test_malformed_brackets_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


def test_unusual_brackets_match() -> None:
    for pattern, text in (
        ("[]a]", "]"),
        ("[!]a]", "b"),
        ("[a-c]*", "b1"),
        ("[-a]", "-"),
    ):
        assert compile_pattern(pattern).match(text)
