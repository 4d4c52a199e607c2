"""What is done to the installation, and when: a function of the seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

PROCESSES = ("worker", "gateway", "archiver", "desk", "broker")
WEIGHTS = {"worker": 9, "gateway": 5, "archiver": 3, "desk": 3, "broker": 4}
POISONS = (
    "bytes", "columns", "foreign-register", "deep", "unknown-kind", "null", "no-key", "huge-garbage",
    "packs", "packs-known-hash", "state",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How long and how hard; everything that happens follows from it."""

    seed: int
    kills: int
    firms: int = 32
    partitions: int = 4
    outage_s: float = 60.0
    pace_s: tuple[float, float] = (0.2, 4.5)
    """Pause between two acts."""
    every: int = 4
    """After so many kills comes something else."""
    short: bool = False
    """The form of the default test run: less of everything, and no disk is filled."""


def short(seed: int, kills: int) -> Form:
    """Return the form of the default test run."""
    return Form(seed, kills, firms=16, outage_s=3.0, pace_s=(0.1, 1.2), every=1, short=True)


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do after a pause; `what` names a process, a poison or nothing."""

    pause_s: float
    kind: str
    what: str = ""
    size: float = 0.0


def acts_of(form: Form) -> list[Act]:
    """Return all acts in order. With a hundred kills everything happens at least once, each process dies several times."""
    chance = random.Random(f"acts/{form.seed}")  # noqa: S311 - repeatable, not secret
    others = iter(_others(form, chance))
    acts: list[Act] = []
    for number, kill in enumerate(_kills(form.kills, chance), 1):
        acts.append(kill)
        if number % form.every == 0:
            acts += [act for act in (next(others, None),) if act is not None]
    return [replace(act, pause_s=chance.uniform(*form.pace_s)) for act in [*acts, *others]]


def _kills(count: int, chance: random.Random) -> list[Act]:
    """Every process at least once if there are kills enough, the rest by weight; a worker is picked when it happens."""
    names = list(PROCESSES[: min(count, len(PROCESSES))])
    names += chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count - len(names))
    chance.shuffle(names)
    return [Act(0, "kill", name, chance.random()) for name in names]


def _others(form: Form, chance: random.Random) -> list[Act]:
    """Return what is done beside the kills; in the short form either a pause or the group's end, for they take longest."""
    rounds = 0 if form.short else max(1, form.kills // 40)
    paused = chance.random() < 0.5
    wanted = [
        *(Act(0, "pause", "", chance.uniform(0, 3)) for _ in range(rounds or paused)),
        *(Act(0, "group") for _ in range((rounds + 1) // 2 or not paused)),
        *(Act(0, "grow") for _ in range(rounds or 1)),
        *(Act(0, "shrink", "", chance.uniform(0.5, 8) if rounds else 0.5) for _ in range(rounds or 1)),
        *(Act(0, "register", "", chance.random()) for _ in range(2 * rounds or 1)),
        *(Act(0, "large", "", chance.random()) for _ in range(2 * rounds or 1)),
        Act(0, "outage", "", form.outage_s),
        *([] if form.short else [Act(0, "disk", "", 5.0)]),
        *_poisons(2 if form.short else 5, chance),
    ]
    chance.shuffle(wanted)
    return _shrink_after_grow(wanted)


def _poisons(parts: int, chance: random.Random) -> list[Act]:
    names = list(POISONS)
    chance.shuffle(names)
    return [Act(0, "poison", ",".join(names[part::parts]), chance.random()) for part in range(parts)]


def _shrink_after_grow(acts: list[Act]) -> list[Act]:
    """Put each removal of a worker behind an addition, without moving anything else."""
    grows = [act for act in acts if act.kind == "grow"]
    shrinks = [act for act in acts if act.kind == "shrink"]
    pairs = iter([act for pair in zip(grows, shrinks, strict=True) for act in pair])
    return [next(pairs) if act.kind in {"grow", "shrink"} else act for act in acts]
