"""How clones share a branch, on a virtual clock: `python -m tests.simulation`.

The policy is the real one (`csc_git.core.pace`); what is simulated is time: edits come at a steady
rate, a round takes a fetch, a replay of the queue and a push, and the remote takes a push if nobody
else's was taken since the fetch. On one machine (`cores`) the rounds that run at the same time slow
each other down, as on the machine that checks this against real clones (`python -m tests.bench`).
"""

import heapq
import random
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from csc_git.core.pace import Pace


@dataclass(frozen=True)
class RemoteSpeed:
    """How long things take, in seconds.

    Attributes:
        fetch: A fetch.
        push: A push; the remote decides two thirds into it.
        replay: Of one edit.
        cores: How many rounds run at full speed at the same time; None: all.
    """

    fetch: float
    push: float
    replay: float = 0.0008
    cores: int | None = None


LOCAL = RemoteSpeed(fetch=0.06, push=0.09, cores=2)
HOSTED = RemoteSpeed(fetch=0.6, push=1.2)


@dataclass
class SimulatedClone:
    """One clone: its pace, and the edits it has made."""

    name: str
    pace: Pace = field(default_factory=Pace)
    known: int = 0
    lost: int = 0
    waits: list[float] = field(default_factory=list)
    queue: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        rate: Edits synced a second.
        spread: The most edits that a clone synced, divided by the fewest.
        p99: Seconds until synced that 1 edit in 100 exceeds.
        losses: Pushes that lost a race, for each accepted one.
    """

    rate: float
    spread: float
    p99: float
    losses: float


def simulate(
    clones: int, each: float, remote: RemoteSpeed, seconds: float, seed: int = 1
) -> Outcome:
    """Let clones offer `each` edits a second for some time."""
    return _Run(clones, each, remote, seconds, random.Random(seed)).outcome()  # noqa: S311


class _Run:
    """Clones as generators that yield the seconds until they go on."""

    def __init__(
        self,
        clones: int,
        each: float,
        remote: RemoteSpeed,
        seconds: float,
        chance: random.Random,
    ) -> None:
        self._remote, self._seconds, self._chance = remote, seconds, chance
        self._clones = [
            SimulatedClone(f"c{number}") for number in range(clones)
        ]
        self._log: list[str] = []
        self._now, self._busy = 0.0, 0
        order = count()
        self._later: list[tuple[float, int, Generator[float]]] = []
        for clone in self._clones:
            for process in (self._edits(clone, 1 / each), self._syncs(clone)):
                heapq.heappush(
                    self._later, (chance.random() / each, next(order), process)
                )

    def outcome(self) -> Outcome:
        while self._later and self._later[0][0] < self._seconds:
            self._now, number, process = heapq.heappop(self._later)
            heapq.heappush(
                self._later, (self._now + next(process), number, process)
            )
        waits = [wait for clone in self._clones for wait in clone.waits]
        waits += [
            self._seconds - made
            for clone in self._clones
            for made in clone.queue
        ]
        waits.sort()
        counts = [len(clone.waits) for clone in self._clones]
        return Outcome(
            sum(counts) / self._seconds,
            max(counts) / max(1, min(counts)),
            waits[int(len(waits) * 0.99)],
            sum(clone.lost for clone in self._clones) / max(1, len(self._log)),
        )

    def _edits(self, clone: SimulatedClone, apart: float) -> Generator[float]:
        while True:
            clone.queue.append(self._now)
            yield apart

    def _syncs(self, clone: SimulatedClone) -> Generator[float]:
        losses = 0
        while True:
            if not clone.queue:
                yield 0.01
                continue
            began = self._now
            taken = yield from self._round(clone)
            losses = 0 if taken else losses
            clone.pace.measured(self._now - began)
            chance = self._chance.random()
            if taken:
                clone.pace.took(self._now, chance)
                yield clone.pace.free_at - self._now
            else:
                clone.lost += 1
                losses += 1
                yield clone.pace.retry(losses, self._now, chance)

    def _round(self, clone: SimulatedClone) -> Generator[float, None, bool]:
        """A fetch, a replay and a push; whether it was taken."""
        if clone.pace.others(self._now):
            yield from self._work(self._remote.fetch)
            self._learn(clone)
        base, queued = len(self._log), len(clone.queue)
        yield from self._work(
            self._remote.replay * queued + self._remote.push * 2 / 3
        )
        taken = base == len(self._log) and clone.known == base
        if taken:
            self._log.append(clone.name)
            clone.known = len(self._log)
        yield from self._work(self._remote.push / 3)
        if taken:
            clone.waits += [self._now - made for made in clone.queue[:queued]]
            del clone.queue[:queued]
        else:
            self._learn(clone)
        return taken

    def _learn(self, clone: SimulatedClone) -> None:
        news = set(self._log[clone.known :]) - {clone.name}
        clone.pace.saw(news, self._now)
        clone.known = len(self._log)

    def _work(self, seconds: float) -> Generator[float]:
        """Let so much work be done, by as many cores as there are."""
        self._busy += 1
        cores = self._remote.cores or self._busy
        yield seconds * max(1.0, self._busy / cores)
        self._busy -= 1


MINUTE: Final = 1 / 60
LOADS: Final = (
    (1, 2.0), (2, 2.0), (8, 0.2), (8, 2.0), (8, 15.0), (16, 5.0), (32, 2.0), (100, 0.5),
    (30, MINUTE), (100, MINUTE), (300, MINUTE), (1000, MINUTE / 10), (3000, MINUTE / 10),
)  # fmt: skip


def main() -> None:
    for title, remote in (("one machine", LOCAL), ("a hosted remote", HOSTED)):
        print(f"{title}: fetch {remote.fetch} s, push {remote.push} s")
        print("  clones  edits/s each  synced/s      of  spread   p99 s   lost")
        for clones, each in LOADS:
            made = simulate(clones, each, remote, 600.0 if each < 1 else 120.0)
            offered = f"{clones:>8}{each:>14.3f}{made.rate:>10.1f}{clones * each:>8.1f}"
            print(
                f"{offered}{made.spread:>8.2f}{made.p99:>8.1f}{made.losses:>7.2f}"
            )


if __name__ == "__main__":
    main()
