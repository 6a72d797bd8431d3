"""Claims: overlap, one winner, expiry, loss, fences."""

import json
import time

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.claim import overlaps, parse_resource
from csc_git.core.lease import Instant
from csc_git.errors import ClaimLost, InputError, InvalidName, NotSignedOn
from csc_git.files.lock import FileLock
from tests.by_hand import check_out_branch
from tests.commands import csc
from tests.inside import set_tracked_files
from tests.world import World, git, put, state_of

FILES = [
    "src/api/a.py",
    "src/api/deep/b.py",
    "src/c.py",
    "docs/x.md",
    ".github/w.yml",
]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("issue:15", "issue:15", True),
        ("issue:1", "issue:15", False),
        ("issue:15", "*", False),
        ("src", "src/api", True),
        ("src/", "./src/api/a.py", True),
        ("src/ap", "src/api", False),
        ("src/**", "src/api/new.py", True),
        ("*.py", "src/api", True),
        ("*.py", "src/api/new.py", True),
        ("*.py", "docs", False),
        ("src/*.py", "src/api/a.py", False),
        ("src/api/*.txt", "src/api", True),  # whatever it may match lies below
        ("src/api/*.txt", "src/api/deep", False),
        ("*.py", "src/*", True),
        ("*.md", "src/*", False),
        (".gith*", "*.yml", True),
        ("**", "docs", True),
        ("src/ap*", "src/api/new.py", True),
        ("src/[ab]*", "src/c.py", False),
    ],
)
def test_resources_overlap_by_path_name_and_pattern(
    one: str, other: str, expected: bool
) -> None:
    a, b = parse_resource(one), parse_resource(other)
    assert overlaps(a, b, lambda: FILES) is expected
    assert overlaps(b, a, lambda: FILES) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../b",
        "x" * 201,
        "a\nb",
        "issue:*",
        "*a*b*c*d*e",
        "/",
    ],
)
def test_a_malformed_resource_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_resource(text)


@pytest.fixture
def signed_on_pair(world: World) -> list[Coordinator]:
    """Two clones that know each other's sessions."""
    both = [world.open("one"), world.open("two")]
    for coordinator in [*both, *both]:
        coordinator.authors.sign_on()
        coordinator.syncing.sync()
    return both


def test_a_claim_is_granted_and_seen_by_other_clones(
    signed_on_pair: list[Coordinator],
) -> None:
    mine = signed_on_pair[0].claims.claim(None, ["issue:15"], "the parser")
    assert (mine.status, mine.claims[0].resource) == ("granted", "issue:15")
    again = signed_on_pair[0].claims.claim(None, ["issue:15"])
    assert (again.status, again.op, again.claims[0].note) == (
        "granted",
        None,
        "the parser",
    )
    signed_on_pair[1].syncing.sync()
    theirs = signed_on_pair[1].claims.claim(None, ["issue:15", "issue:16"])
    assert theirs.status == "taken"
    taken = theirs.claims[0]
    assert (taken.session, taken.note, taken.until) == (
        "claude_1@one",
        "the parser",
        None,
    )
    assert [c.resource for c in signed_on_pair[1].summary.context().claims] == [
        "issue:15"
    ]  # all or nothing


def test_of_two_overlapping_claims_one_is_granted(
    signed_on_pair: list[Coordinator],
) -> None:
    assert (
        signed_on_pair[0].claims.claim(None, ["src/api/**"]).status == "granted"
    )
    late = signed_on_pair[1].claims.claim(
        None, ["src/api/a.py"]
    )  # unsynced: it can't know, the remote does
    assert (late.status, late.claims[0].resource) == ("taken", "src/api")


def test_an_offline_claim_is_provisional_until_synced(
    signed_on_pair: list[Coordinator],
) -> None:
    git(
        "remote",
        "set-url",
        "origin",
        "/nowhere",
        cwd=signed_on_pair[1].project.top,
    )
    provisional = signed_on_pair[1].claims.claim(None, ["file.txt"])
    assert provisional.status == "provisional"
    assert "safe here and queued" in provisional.reason
    assert signed_on_pair[0].claims.claim(None, ["*.txt"]).status == "granted"
    back = str(signed_on_pair[0].project.get("remote.origin.url"))
    git("remote", "set-url", "origin", back, cwd=signed_on_pair[1].project.top)
    signed_on_pair[1].syncing.sync()
    with pytest.raises(ClaimLost, match=r"file\.txt was refused"):
        signed_on_pair[1].authors.session(None)
    assert signed_on_pair[1].authors.session(None).name == "claude_1@two"
    assert [c.resource for c in signed_on_pair[1].summary.context().claims] == [
        "*.txt"
    ]
    assert not signed_on_pair[1].summary.context().conflicts


def test_claims_that_do_not_overlap_are_both_granted(
    signed_on_pair: list[Coordinator],
) -> None:
    git(
        "remote",
        "set-url",
        "origin",
        "/nowhere",
        cwd=signed_on_pair[1].project.top,
    )
    signed_on_pair[1].claims.claim(None, ["issue:2"])
    signed_on_pair[0].claims.claim(None, ["issue:1"])
    git("remote", "set-url", "origin", str(signed_on_pair[0].project.get("remote.origin.url")),
        cwd=signed_on_pair[1].project.top)  # fmt: skip
    signed_on_pair[1].syncing.sync()
    assert [c.resource for c in signed_on_pair[1].summary.context().claims] == [
        "issue:1",
        "issue:2",
    ]
    assert signed_on_pair[1].claims.claim(None, ["issue:2"]).status == "granted"


def test_release_and_sign_off_free_a_claim(
    signed_on_pair: list[Coordinator],
) -> None:
    first = (
        signed_on_pair[0]
        .claims.claim(None, ["issue:1", "issue:2"])
        .claims[0]
        .fence
    )
    assert signed_on_pair[0].claims.release(None, ["issue:1"]).released == [
        "issue:1"
    ]
    signed_on_pair[0].syncing.sync()
    signed_on_pair[1].syncing.sync()
    second = signed_on_pair[1].claims.claim(None, ["issue:1"])
    assert second.status == "granted"
    assert second.claims[0].fence > first
    signed_on_pair[0].authors.sign_off()
    signed_on_pair[0].syncing.sync()
    signed_on_pair[1].syncing.sync()
    third = signed_on_pair[1].claims.claim(None, ["issue:2"])
    assert third.status == "granted"
    assert third.claims[0].fence > second.claims[0].fence


def test_two_sessions_of_one_server_exclude_each_other(
    signed_on_pair: list[Coordinator],
) -> None:
    other = signed_on_pair[0].authors.sign_on("other").session
    assert signed_on_pair[0].claims.claim(None, ["issue:1"]).status == "granted"
    assert signed_on_pair[0].claims.claim(other, ["issue:1"]).status == "taken"
    signed_on_pair[0].claims.release(None)
    assert (
        signed_on_pair[0].claims.claim(other, ["issue:1"]).status == "granted"
    )


def test_a_claim_with_a_length_ends_by_elapsed_time(
    signed_on_pair: list[Coordinator], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = signed_on_pair[0].claims.claim(None, ["issue:1"], ttl=60)
    assert mine.claims[0].until is not None
    signed_on_pair[1].syncing.sync()
    assert signed_on_pair[1].claims.claim(None, ["issue:1"]).status == "taken"
    start = clock.instant()
    later = Instant(start.boot, start.seconds + 59, start.wall)
    monkeypatch.setattr(clock, "instant", lambda: later)
    signed_on_pair[1].syncing.sync()
    assert signed_on_pair[1].claims.claim(None, ["issue:1"]).status == "taken"
    after = Instant(
        start.boot, start.seconds + 62, start.wall - 10_000
    )  # wall clocks may jump
    monkeypatch.setattr(clock, "instant", lambda: after)
    other = signed_on_pair[0].authors.sign_on("other").session
    git(
        "remote",
        "set-url",
        "origin",
        "/nowhere",
        cwd=signed_on_pair[1].project.top,
    )
    assert (
        signed_on_pair[1].claims.claim(None, ["issue:1"]).status == "taken"
    )  # no contact since
    back = str(signed_on_pair[0].project.get("remote.origin.url"))
    git("remote", "set-url", "origin", back, cwd=signed_on_pair[1].project.top)
    theirs = signed_on_pair[1].claims.claim(None, ["issue:1"])
    assert theirs.status == "granted"
    assert theirs.claims[0].fence > mine.claims[0].fence
    assert (
        signed_on_pair[0].claims.claim(other, ["issue:1"]).status == "taken"
    )  # refused by the remote
    with pytest.raises(ClaimLost, match="is lost: claude_1@two has claimed it"):
        signed_on_pair[0].authors.session(None)


def test_claiming_again_renews_the_length(
    signed_on_pair: list[Coordinator], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_on_pair[0].claims.claim(None, ["issue:1"], ttl=60)
    signed_on_pair[1].syncing.sync()
    start = clock.instant()
    monkeypatch.setattr(
        clock, "instant", lambda: Instant(start.boot, start.seconds + 50, 0)
    )
    assert signed_on_pair[0].claims.claim(None, ["issue:1"], ttl=60).op
    signed_on_pair[1].syncing.sync()
    monkeypatch.setattr(
        clock, "instant", lambda: Instant(start.boot, start.seconds + 100, 0)
    )
    signed_on_pair[1].syncing.sync()
    assert signed_on_pair[1].claims.claim(None, ["issue:1"]).status == "taken"


def test_a_superseded_sessions_claim_is_refused(world: World) -> None:
    one, two = (
        world.open("one", machine="same"),
        world.open("two", machine="same"),
    )
    git("remote", "set-url", "origin", "/nowhere", cwd=two.project.top)
    assert (
        one.authors.sign_on().session == two.authors.sign_on().session
    )  # offline, both take one name
    assert two.claims.claim(None, ["issue:7"]).status == "provisional"
    one.syncing.sync()
    git("remote", "set-url", "origin", str(world.remote), cwd=two.project.top)
    two.syncing.sync()
    two.syncing.sync()
    one.syncing.sync()
    assert one.summary.context().claims == []
    made = [
        record for record in world.log() if record.subject == "claim issue:7"
    ]
    assert [record.outcome for record in made] == ["refused"]
    assert one.claims.claim(None, ["issue:7"]).status == "granted"


def test_bad_claims_are_refused(
    signed_on_pair: list[Coordinator], world: World
) -> None:
    with pytest.raises(InputError, match="0 resources"):
        signed_on_pair[0].claims.claim(None, [])
    with pytest.raises(InputError, match="out of range"):
        signed_on_pair[0].claims.claim(None, ["issue:1"], ttl=0)
    with pytest.raises(InputError, match="out of range"):
        signed_on_pair[0].claims.claim(None, ["issue:1"], ttl=10**6)
    with pytest.raises(InputError, match="note"):
        signed_on_pair[0].claims.claim(None, ["issue:1"], "x" * 501)
    with pytest.raises(NotSignedOn):
        world.open("three").claims.claim(None, ["issue:1"])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("app/[id]", "app/[id]/page.tsx", True),
        ("app/[id]/page.tsx", "app/**/*.tsx", True),
        ("app/[id]/page.tsx", "*.tsx", True),
        ("app/[id]/page.tsx", "app/[id]/**", True),
        ("app/[id]/page.tsx", "app", True),
        ("app/[id]/*.tsx", "app/[id]/page.tsx", True),
        ("app/[id]/*.tsx", "app/[id]", True),
        ("app/[...slug]/page.tsx", "app/[...slug]", True),
        ("app/[id]", "app/[slug]", False),
        ("app/[id]/*.tsx", "app/[slug]/*.tsx", False),
        ("app/[id]/page.tsx", "app/[id]/layout.tsx", False),
        ("src/[ab].py", "src/a.py", True),  # a set of characters all the same
    ],
)
def test_brackets_match_as_a_name_and_as_a_pattern(
    one: str, other: str, expected: bool
) -> None:
    files = ["app/[id]/page.tsx", "app/[slug]/page.tsx", "src/a.py"]
    for first, second in ((one, other), (other, one)):
        a, b = parse_resource(first), parse_resource(second)
        assert overlaps(a, b, lambda: files) is expected


def test_one_of_two_claims_on_a_bracketed_path_is_granted(
    world: World, signed_on_pair: list[Coordinator]
) -> None:
    for name in ("one", "two"):
        page = world.directory / name / "app" / "[id]" / "page.tsx"
        page.parent.mkdir(parents=True)
        page.write_text("")
        git("add", ".", cwd=world.directory / name)
    for mine, theirs in (
        ("app/[id]", "app/[id]/page.tsx"),
        ("app/[id]/page.tsx", "app/**/*.tsx"),
    ):
        assert signed_on_pair[0].claims.claim(None, [mine]).status == "granted"
        assert signed_on_pair[1].claims.claim(None, [theirs]).status == "taken"
        signed_on_pair[0].claims.release(None)
        assert signed_on_pair[0].syncing.sync().state == "ok"


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/a/**/a/**/a/**/b", "a/" * 99 + "a"),
        ("*a*a*a*b", "a" * 199),
        ("**/*/**/*/b", "a/" * 99 + "a"),
    ],
)
def test_a_pattern_made_to_be_slow_is_matched_quickly(
    pattern: str, path: str
) -> None:
    began = time.process_time()
    for number in range(50):
        assert not overlaps(f"{pattern}{number}", path, lambda: [path])
    assert time.process_time() - began < 1


def test_patterns_are_matched_before_the_lock_is_taken(
    signed_on_pair: list[Coordinator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """git lists the tracked files, which may take long. No write waits for it."""
    assert (
        signed_on_pair[1].claims.claim(None, ["src/*.md"]).status == "granted"
    )
    assert signed_on_pair[0].syncing.sync().state == "ok"
    lock = signed_on_pair[0].store.repository.path.parent / "locks" / "write"
    asked = list[bool]()

    def tracked() -> list[str]:
        asked.append(FileLock(lock).is_free())
        return ["src/a.py"]

    set_tracked_files(monkeypatch, signed_on_pair[0].claims, tracked)
    assert (
        signed_on_pair[0].claims.claim(None, ["src/*.py"]).status == "granted"
    )
    assert asked
    assert all(asked)


def test_a_claim_without_a_session_is_listed_and_removable(
    world: World, signed_on_pair: list[Coordinator]
) -> None:
    signed_on_pair[0].claims.claim(None, ["src"])
    assert signed_on_pair[0].syncing.sync().state == "ok"
    work = world.directory / "by-hand"
    check_out_branch(world, work)
    for file in (
        work / "data/claims/src.json",
        next((work / "data/sessions").glob("*one.json")),
    ):
        found = json.loads(file.read_text())
        if file.parent.name == "claims":
            found["value"]["session"] = "nobody at all"
            file.write_text(json.dumps(found))
        else:
            (file.parent / "nobody=20at=20all.json").write_text(
                json.dumps(found)
            )
    git("add", ".", cwd=work)
    git("commit", "-qm", "by hand", cwd=work)
    git("push", "-q", cwd=work)
    assert signed_on_pair[1].syncing.sync().state == "ok"
    assert (
        signed_on_pair[1].claims.active(signed_on_pair[1].store.snapshot())
        == []
    )
    assert (
        signed_on_pair[1].claims.claim(None, ["src/a.py"]).status == "granted"
    )
    foreign = "\n".join(signed_on_pair[1].summary.status().foreign)
    assert "claims/src" in foreign
    assert "sessions/nobody at all" in foreign
    for scope, key in (("claims", "src"), ("sessions", "nobody at all")):
        csc("rm", scope, key, cwd=world.directory / "two")
    assert not any(
        "nobody" in line or "claims/src" in line
        for line in signed_on_pair[1].summary.status().foreign
    )
    assert "reserved for csc-git itself" in csc(
        "rm", "claims", "src/a.py", cwd=world.directory / "two", code=1
    ).stderr  # fmt: skip


def test_a_provisional_claim_is_marked_everywhere(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    world.remote.rename(world.directory / "away")
    one.authors.sign_on()
    claimed = one.claims.claim(None, ["src"], note="refactor")
    assert claimed.status == "provisional"
    assert claimed.claims[0].provisional
    snapshot = one.store.snapshot()
    assert one.claims.active(snapshot)[0].provisional
    assert "provisional" in csc("claims", cwd=world.directory / "one").stdout
    assert "provisional" in csc("status", cwd=world.directory / "one").stdout
    (world.directory / "away").rename(world.remote)
    assert state_of(one) == "ok"
    assert not one.claims.active(one.store.snapshot())[0].provisional


def test_a_refused_claim_names_the_session_and_a_way_out(
    world: World,
) -> None:
    one, two = world.open("one"), world.open("two")
    one.authors.sign_on()
    one.claims.claim(None, ["src"], note="refactor")
    two.authors.sign_on()
    answer = two.claims.claim(None, ["src/a.py"])
    (rival,) = answer.claims
    assert (rival.session, rival.note) == ("claude_1@one", "refactor")
    assert rival.since[:19] <= rival.last_seen
    assert (
        "a person can end that session with csc-git sign-off" in answer.reason
    )
