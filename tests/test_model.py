"""Several clones against a plain model, in random histories; and the laws of merging.

Each step is made with real repositories, real git and real pushes, and in the model of
`tests/model.py`. After each step the clone must have exactly what the model has. At the end of
every history all clones are online again, and the remote is checked against the laws of
`docs/design.md`.
"""

import os
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.core.claim import Claim
from csc_git.core.conflict import Conflict
from csc_git.core.edit import Record
from csc_git.core.key import Key as RealKey
from csc_git.core.key import parse_scope
from csc_git.core.lease import Lease
from csc_git.errors import ClaimLost, ConditionFailed
from tests.model import Clone, Edit, Refused, Remote, Value
from tests.world import World, git

EXAMPLES = int(os.environ.get("CSC_TEST_EXAMPLES", "10"))
START = datetime(2026, 5, 1, tzinfo=UTC)
SKEW = [timedelta(), timedelta(hours=3), timedelta(hours=-3)]
SCOPES = ("conflicts", "claims", "s", "sessions", "t")

clones = st.integers(0, 2)
model_keys = st.sampled_from([("s", "a"), ("s", "b"), ("t", "a")])
members = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), max_size=3)
model_values = st.integers(0, 3) | members
resources = st.lists(
    st.sampled_from(["issue:1", "issue:2", "src", "src/a.py", "*.py"]),
    min_size=1, max_size=2, unique=True,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def template(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A remote and three clones, copied for each history."""
    directory = tmp_path_factory.mktemp("model")
    home = directory / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        (home / ".gitconfig").write_text(
            "[user]\n\tname = T\n\temail = t@example.com\n"
        )
        world = World(directory)
        world.make_remote()
        for number in range(3):
            clone = world.clone(f"c{number}")
            (clone / "src").mkdir()
            (clone / "src" / "a.py").touch()
            git("add", ".", cwd=clone)
        Histories.template = directory
        yield


class Histories(RuleBasedStateMachine):
    """One history."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="csc-model-"))
        for name in ("remote.git", "c0", "c1", "c2"):
            shutil.copytree(
                self.template / name, self.directory / name, symlinks=True
            )
        self.remote = Remote()
        self.model = [Clone(self.remote, f"c{n}") for n in range(3)]
        self.real = [self._opened(n) for n in range(3)]
        self.holders: dict[str, Any] = {}
        self.ops: list[str] = []
        self.steps = 0
        self.writes = 0
        for number in range(3):
            self._reach(number)
            self._sign_on(number)

    # Steps

    @rule(n=clones, key=model_keys, value=model_values, confirm=st.booleans())
    def put(self, n: int, key: Any, value: Any, confirm: bool) -> None:
        self._write(n, {key: value}, confirm=confirm)

    @rule(
        n=clones,
        key=model_keys,
        value=model_values,
        hit=st.booleans(),
        confirm=st.booleans(),
    )
    def put_if(
        self, n: int, key: Any, value: Any, hit: bool, confirm: bool
    ) -> None:
        """On condition of the current value, or of one that never existed."""
        current = self.model[n].here.state.get(key)
        wanted = current if hit else Value("never", "nobody", START)
        self._write(n, {key: value}, requires={key: wanted}, confirm=confirm)

    @rule(n=clones, key=model_keys)
    def delete(self, n: int, key: Any) -> None:
        self._write(n, {}, deletes=(key,))

    @rule(
        n=clones, value=model_values, guard=st.booleans(), confirm=st.booleans()
    )
    def edit(self, n: int, value: Any, guard: bool, confirm: bool) -> None:
        """Two keys stored and one deleted, perhaps on condition."""
        place = ("t", "a")
        requires = {place: self.model[n].here.state.get(place)} if guard else {}
        puts = {("s", "a"): value, ("s", "c"): value}
        self._write(
            n, puts, deletes=(("s", "b"),), requires=requires, confirm=confirm
        )

    @rule(n=clones)
    def delete_scope(self, n: int) -> None:
        now = self._tick(n)
        gone = self.real[n].edits.delete_scope(self._person(n), "s")
        places = tuple(key for key in self.model[n].here.state if key[0] == "s")
        made = self.model[n].write(
            gone.op or "", self._name(n), now, {}, places, kind="delete-scope"
        )
        self._acknowledged(gone.op, made)

    @rule(n=clones, wanted=resources)
    def claim(self, n: int, wanted: list[str]) -> None:
        model, now = self.model[n], self._tick(n)
        with suppress(ClaimLost):
            self.real[n].authors.session("worker")
        answer = self.real[n].claims.claim("worker", wanted)
        assert answer.status == self._claimed(model, now, wanted)
        self._rename(n)

    def _claimed(self, model: Clone, now: datetime, wanted: list[str]) -> str:
        asked = False
        for _ in range(5):
            self.writes += 1
            op = f"claim {self.writes}"
            try:
                made = model.claim(op, now, wanted)
                if made is None and not _asks(model):
                    return "provisional"
                made = made or model.claim(
                    op, now, wanted
                )  # on what the remote has
            except Refused:
                if asked:
                    return "taken"
                model.sync()
                asked = True
                continue
            keys = [("claims", resource) for resource in wanted]
            if made:
                model.sync(waiting=op)
            if made is None or made.outcome != "refused":
                return "granted" if model.is_confirmed(keys) else "provisional"
        return "taken"

    @rule(n=clones)
    def release(self, n: int) -> None:
        now = self._tick(n)
        released = self.real[n].claims.release("worker")
        made = self.model[n].release(released.op or "", now)
        self._acknowledged(released.op, made)

    @precondition(lambda self: any(_conflicts(model) for model in self.model))
    @rule(
        n=clones,
        choice=st.sampled_from(["current", "lost", "value"]),
        data=st.data(),
    )
    def resolve(self, n: int, choice: Any, data: Any) -> None:
        found = _conflicts(self.model[n])
        if not found:
            return
        record = data.draw(st.sampled_from(found))
        state, now = self.model[n].here.state, self._tick(n)
        key, _, lost, _ = state[record].content
        done = self.real[n].conflicts.resolve(
            self._person(n), record[1], choice, "resolved"
        )
        puts = {"current": {}, "lost": {key: lost}, "value": {key: "resolved"}}[
            choice
        ]
        deletes = [record]
        if puts.get(key) == ("deleted",):
            puts, deletes = {}, [record, key]
        requires = {record: state[record], key: state.get(key)}
        made = self.model[n].write(
            done.op or "", self._name(n), now, puts, tuple(deletes), requires
        )
        self._acknowledged(done.op, made)

    @rule(n=clones)
    def sync(self, n: int) -> None:
        self._tick(n)
        self.real[n].syncing.sync()
        self.model[n].sync()

    @rule(n=clones, how=st.sampled_from(["online", "offline", "read-only"]))
    def partition(self, n: int, how: str) -> None:
        self.model[n].reaches, self.model[n].pushes = (
            how != "offline",
            how == "online",
        )
        self._reach(n)

    @rule(n=clones)
    def restart(self, n: int) -> None:
        self.real[n].close()
        self.real[n] = self._opened(n)
        self._sign_on(n)

    # What must hold

    @invariant()
    def every_clone_holds_what_the_model_says(self) -> None:
        for n in range(3) if self.steps else ():
            self._compare(n)

    def teardown(self) -> None:
        try:
            if self.steps:
                self._come_together()
        finally:
            for coordinator in self.real:
                coordinator.close()
            shutil.rmtree(self.directory)

    def _come_together(self) -> None:
        for n in range(3):
            self.partition(n, "online")
        for n in (0, 1, 2, 0, 1):
            self.sync(n)
            self._compare(n)
        tips = {coordinator.store.branch.tip for coordinator in self.real}
        assert len(tips) == 1, "every clone ends with the same history"
        world = World(self.directory)
        placed = Counter(record.op for record in world.log())
        assert all(placed[op] == 1 for op in self.ops), (
            "every acknowledged op appears once"
        )
        assert sum(placed.values()) == len(self._line()) + 1
        self.sync(0)
        assert {
            coordinator.store.branch.tip for coordinator in self.real
        } == tips
        git("fsck", "--strict", cwd=world.remote)

    def _compare(self, n: int) -> None:
        snapshot, found = self.real[n].store.snapshot(), {}
        for scope in SCOPES:
            for key in snapshot.keys(parse_scope(scope)):
                stored = snapshot.get(key)
                assert stored is not None
                entry = stored.entry
                content = self._said(scope, entry.value)
                found[scope, key.name] = (
                    content,
                    entry.session,
                    entry.time,
                    entry.authors,
                )
        expected = {
            key: (value.content, value.author, value.time, value.authors)
            for key, value in self.model[n].here.state.items()
        }
        assert found == expected
        assert self._queue(n) == [edit.op for edit in self.model[n].queue]

    # Helpers

    def _said(self, scope: str, value: Any) -> Any:
        """A record in the form of the model."""
        if scope == "sessions":
            lease = Lease.from_json(value)
            assert lease
            return self.holders[lease.holder]
        if scope == "claims":
            claim = Claim.from_json(value)
            assert claim
            return (
                claim.resource,
                self.holders[claim.holder],
                claim.fence,
                claim.state,
            )
        if scope == "conflicts":
            conflict = Conflict.from_json(value)
            assert conflict
            key = (":".join(conflict.key.scope), conflict.key.name)
            entry = conflict.lost.entry
            content = entry.value if entry else ("deleted",)
            return (key, str(conflict.why), content, conflict.lost.session)
        return value

    def _write(
        self,
        n: int,
        puts: dict[Any, Any],
        *,
        deletes: tuple[Any, ...] = (),
        requires: dict[Any, Value | None] | None = None,
        confirm: bool = False,
    ) -> None:
        """The same edit in both, by whichever call fits it."""
        now, model = self._tick(n), self.model[n]
        conditions = {
            key: self._revision(n, key, value)
            for key, value in (requires or {}).items()
        }
        op = None
        try:
            op = self._edited(n, puts, deletes, conditions, confirm)
            refused = False
        except ConditionFailed:
            refused = True
        self.writes += 1
        made = None

        def write() -> Edit | None:
            name = op or f"unnamed {self.writes}"
            return model.write(
                name, self._name(n), now, puts, deletes, requires
            )

        try:
            made = write()
            if confirm and made is None and _asks(model):
                made = write()  # on what the remote has
        except Refused:
            assert refused
            return
        if confirm and made:
            model.sync(waiting=made.op)
        assert refused == bool(confirm and made and made.outcome == "refused")
        if refused:
            self._rename(n)
        else:
            self._acknowledged(op, made)

    def _edited(
        self,
        n: int,
        puts: Any,
        deletes: Any,
        conditions: dict[Any, str],
        confirm: bool,
    ) -> str | None:
        me, edits = self._person(n), self.real[n].edits
        if len(puts) == 1 and not deletes:
            [(key, value)] = puts.items()
            wanted = conditions.get(key)
            scope, name = key
            stored = edits.put(
                me, scope, name, value, if_revision=wanted, confirm=confirm
            )
            return stored.op
        if not puts and not conditions:
            return edits.delete(me, *deletes[0], confirm=confirm).op
        changes = [Change(s, k, "put", value) for (s, k), value in puts.items()]
        changes += [Change(s, k, "delete") for s, k in deletes]
        changes += [
            Change(s, k, "require", None, rev)
            for (s, k), rev in conditions.items()
        ]
        return edits.edit(me, changes, confirm=confirm).op

    def _revision(self, n: int, key: Any, wanted: Value | None) -> str:
        if wanted is None:
            return "absent"
        if wanted.content == "never":
            return "0" * 40
        found = (
            self.real[n]
            .store.snapshot()
            .revision(RealKey(parse_scope(key[0]), key[1]))
        )
        assert found
        return found

    def _rename(self, n: int) -> None:
        """Give the model's edits the ops of the real queue, where no answer had them."""
        for edit, op in zip(self.model[n].queue, self._queue(n), strict=True):
            for placed in self.model[n].here.placed:
                if placed.op == edit.op:
                    placed.op = op
            edit.op = op

    def _acknowledged(self, op: str | None, made: Any) -> None:
        assert (op is None) == (made is None)
        if op is not None:
            self.ops.append(op)

    def _sign_on(self, n: int) -> None:
        now, model, real = self._tick(n), self.model[n], self.real[n]
        real.authors.sign_on("worker")
        session = real.sessions.find("worker")
        holder = (str(session.name), session.lease.holder)
        self.holders[session.lease.holder] = holder
        place = ("sessions", str(session.name))
        requires = {place: model.here.state.get(place)}
        model.write(
            session.op or "",
            str(session.name),
            now,
            {place: holder},
            (),
            requires,
        )
        model.holder = holder
        self.ops.append(session.op or "")

    def _opened(self, n: int) -> Coordinator:
        return World(self.directory).open(f"c{n}")

    def _reach(self, n: int) -> None:
        """Let the clone reach its remote as far as the model's clone does."""
        model, path = self.model[n], self.directory / f"c{n}"
        remote = str(self.directory / "remote.git")
        git(
            "config",
            "remote.origin.url",
            remote if model.reaches else "/nowhere",
            cwd=path,
        )
        name = "url./nowhere.pushInsteadOf"
        if model.pushes:
            config = path / ".git" / "config"
            text = config.read_text()
            config.write_text(text.partition('[url "/nowhere"]')[0])
        else:
            git("config", name, remote, cwd=path)

    def _tick(self, n: int) -> datetime:
        """The next moment, by this clone's clock."""
        self.steps += 1
        now = START + timedelta(seconds=7 * self.steps) + SKEW[n]
        clock.now = lambda: now
        self.model[n].now = now
        return now

    def _queue(self, n: int) -> list[str]:
        return [record.op for record in _records(self.real[n])]

    def _line(self) -> list[Any]:
        assert self.remote.line is not None
        return self.remote.line.placed

    def _person(self, n: int) -> Any:
        return self.real[n].authors.person("tester")

    def _name(self, n: int) -> str:
        return f"tester@c{n}"


def _records(coordinator: Coordinator) -> list[Any]:
    return [
        Record.parse(commit.message)
        for commit in coordinator.store.branch.queue()
    ]


def _conflicts(model: Clone) -> list[Any]:
    return sorted(key for key in model.here.state if key[0] == "conflicts")


def _asks(model: Clone) -> bool:
    """Have a clone ask the remote, as a confirmed edit that changes nothing does.

    Returns whether it got an answer. It got none if edits are queued for a read-only remote.
    """
    model.sync()
    return model.reaches and not model.queue


Histories.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    deadline=None,
    derandomize=EXAMPLES <= 15,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


class TestHistories(Histories.TestCase):  # type: ignore[valid-type,misc]
    """Run by pytest."""

    @pytest.fixture(autouse=True)
    def real_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock, "now", clock.now)
