"""Inputs at the ends of what is allowed: the scenes of the bench are as large as it says, and what the fold tells of them is right."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from bench import extremes as bench
from bench.many_scenes import BEGIN, ID, MINUTE
from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Kind, Readings
from tests.rules.oracle import fold as oracle

SILENCES = {"data-integrity.gap", "cold-chain.interval-storage"}
"""Rules that are judged by the order in which rows come, and taken back by those that come later."""


def told(scene):
    """Return all that a scene tells, what leads there included."""
    engine = Engine(default_bundle())
    return [change for record in [*scene.before, *scene.measured] for change in engine.fold(record)]


def stand(changes):
    """Return what is left at the end, beside what was taken back and silences: rule, series, start, end, colour, where it stands."""
    return sorted(
        (one.rule, one.subject.get("tag", ""), one.start, one.end or 0, one.severity.value, one.status)
        for one in fold_alarms(changes)
        if one.rule not in SILENCES and one.status != "retracted"
    )


def readings(scene):
    return [record.payload for record in scene.measured if record.kind is Kind.READINGS]


@pytest.mark.parametrize("name", bench.BATCHES)
def test_a_batch_holds_what_one_may_hold_at_most(name):
    (batch,) = readings(bench.BATCHES[name](bench.MOST))
    assert bench.MOST - 500 <= batch.time.size <= bench.MOST
    assert len(batch.tags) == len(set(batch.tags)) <= bench.SERIES
    assert batch.counts.sum() == batch.time.size == batch.value.size


@pytest.mark.parametrize("make", [bench.one_series, bench.of_420])
def test_alarms_of_50_000_shuffled_readings_are_those_of_the_same_in_order(make):
    plain, mixed = make(bench.MOST), make(bench.MOST, by_chance=True)
    (one,), (other,) = readings(plain), readings(mixed)
    assert not np.array_equal(one.time, other.time)
    assert {*zip(np.repeat(one.tags, one.counts).tolist(), one.time.tolist(), one.value.tolist(), strict=True)} == {
        *zip(np.repeat(other.tags, other.counts).tolist(), other.time.tolist(), other.value.tolist(), strict=True)
    }
    wanted = stand(told(plain))
    assert len(wanted) > 90
    assert stand(told(mixed)) == wanted


def split(scene, parts):
    """Return a scene whose batch comes as many, at the same instant."""
    out = []
    for record in scene.measured:
        if record.kind is not Kind.READINGS:
            out.append(record)
            continue
        one = record.payload
        tags = np.repeat(np.array(one.tags), one.counts)
        for n, at in enumerate(np.array_split(np.arange(one.time.size), parts)):
            names, first, counts = np.unique(tags[at], return_index=True, return_counts=True)
            order = np.argsort(first)
            payload = Readings(
                f"{one.batch}-{n}", tuple(names[order].tolist()), counts[order].astype(np.int32), one.time[at], one.value[at], one.quality[at]
            )  # fmt: skip
            out.append(replace(record, payload=payload))
    return replace(scene, measured=[replace(record, offset=i) for i, record in enumerate(out, len(scene.before))])


@pytest.mark.parametrize("name", ["one_series_shuffled", "of_34_series", "all_late"])
def test_one_batch_of_50_000_is_folded_as_many_that_come_at_its_instant(name):
    scene = bench.BATCHES[name](bench.MOST)
    assert stand(told(split(scene, 25))) == stand(told(scene))


def test_50_000_late_readings_leave_what_there_were_had_they_come_in_time():
    scene = bench.late(bench.MOST)
    each, series = bench.MOST // 840, 840
    numbers = np.broadcast_to(np.arange(2 * each), (series, 2 * each))
    values = bench.curve(numbers + 13 * np.arange(series)[:, None])
    log = bench.Log(bench.store(series))
    for minute in range(2 * each):
        at = np.full((series, 1), BEGIN + MINUTE * minute)
        log.put(MINUTE * minute + 1_000, Kind.READINGS, bench.batch(f"m{minute}", at, values[:, minute : minute + 1]))
    log.tick(MINUTE * 2 * each + 2_000)
    wanted = stand(told(bench.Scene(log.records, [])))
    assert len(wanted) > 90
    assert stand(told(scene)) == wanted


def test_values_at_the_ends_of_a_double_are_judged_and_every_number_told_is_one():
    changes = told(bench.ends(bench.MOST))
    found = [one for one in stand(changes) if one[0] == "cold-chain.store-out"]
    assert [(tag, status) for _, tag, *_, status in found] == [(tag, "active") for tag in bench.tags_of(34)]
    for change in changes:
        json.loads(json.dumps(change.to_json(), allow_nan=False))


@pytest.mark.parametrize("make", [bench.ends, partial(bench.late, series=6), bench.of_34])
def test_the_plain_version_of_the_rules_says_the_same_of_few_of_them(make):
    scene = make(34 * 12)
    wanted = oracle.fold([*scene.before, *scene.measured], default_bundle())[ID][0]
    found = [(c.rule, c.change, c.start, c.end, c.subject) for c in told(scene)]
    assert found == [(c["rule"], c["change"], c["start"], c["end"], c["subject"]) for c in wanted]
    assert found


def outside(series, minutes):
    """Return the series of a wide scene that read 9.5 in two minutes that follow each other."""
    values = bench.curve(np.arange(minutes) + np.arange(series)[:, None]) > 8
    return {f"T{n:04d}" for n in range(series) if (values[n, 1:] & values[n, :-1]).any()}


def test_of_5_000_series_those_have_an_alarm_that_are_outside():
    found = [one for one in stand(told(bench.wide(bench.SERIES))) if one[0] == "cold-chain.store-out"]
    assert {tag for _, tag, *_ in found} == outside(bench.SERIES, 10)
    assert len(found) == len(outside(bench.SERIES, 10)) > 400


def test_a_series_with_one_reading_is_silent_once_however_long_it_lasts():
    month, week = (bench.folded(bench.single(days * bench.DAY // 10)) for days in (30, 7))
    assert [(c.rule, c.change, c.start) for c in month[2]] == [(c.rule, c.change, c.start) for c in week[2]]
    (silence,) = (one for one in fold_alarms(month[2]) if one.rule == "data-integrity.gap" and one.subject.get("tag"))
    assert (silence.start, silence.status) == (BEGIN + MINUTE, "active")
    assert month[3] <= week[3] + 100


@pytest.mark.parametrize(("facilities", "series"), [(5, 60), pytest.param(20, 5_000, marks=pytest.mark.slow)])
def test_facilities_of_one_process_know_nothing_of_each_other(facilities, series):
    engine, alone = Engine(default_bundle()), bench.wide(series, 4)
    log, found, offset = [*alone.before, *alone.measured], {}, 0
    wanted = [(c.rule, c.change, str(c.subject), c.start) for c in told(alone)]
    for record in log:
        for n in range(facilities):
            name, payload = f"MANY-{n:04d}", record.payload
            if record.kind is Kind.REGISTER:
                payload = payload.model_copy(update={"facility": payload.facility.model_copy(update={"id": name})})
            changes = engine.fold(replace(record, offset=offset, facility=name, payload=payload))
            found.setdefault(name, []).extend((c.rule, c.change, str(c.subject), c.start) for c in changes)
            offset += 1
    assert len(found) == facilities
    assert all(each == wanted for each in found.values())
    assert wanted


def test_the_bench_counts_what_it_measures():
    batch = bench.of_batch(bench.of_34, 680, 1)
    assert batch["cpu_s"]["n"] == 1
    assert batch["ratio_of_four_times_as_many"] > 0
    few = bench.of_many_series(50, 1)
    assert few["series"] == 50
    one = bench.of_one_reading(80, 1)
    assert one["changes"][0] > 0
    region = bench.of_region(1)
    assert (region["series"], region["readings"]) == (100, 15_000)
    assert region["most_mb"] >= region["resident_mb"] > 0
    assert all(math.isfinite(value) for value in region.values())
