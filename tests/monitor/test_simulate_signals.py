"""Signals are pure functions of the instant, look like plants, and stay inside what was registered."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.register.files import read_register
from monitor.simulate.noise import key_of, normal, poisson, uniform
from monitor.simulate.run import REGISTER
from monitor.simulate.shapes import shape_of
from monitor.simulate.signals import signal_of
from rules.pack import load_bundle
from rules.plan import compile_plan
from rules.register import UNITS, Area, AreaKind, Facility, Quantity, Sensor

FIRMS = [entry.logged() for entry in read_register(REGISTER).facilities]
SENSORS = [(firm, sensor) for firm in FIRMS for sensor in firm.sensors]
BEGIN = 1_772_294_400_000


def grid(hours, interval=2_000, begin=BEGIN):
    return np.arange(begin, begin + int(hours * 3_600_000), interval, dtype=np.int64)


def find(tag, firm="BJ-WHS-0021"):
    return next((f, s) for f, s in SENSORS if (f.id, s.tag) == (firm, tag))


def one(kind, quantity, *, limits=None, **area):
    room = Area(id="X1", kind=kind, **area)
    against = "X1" if quantity is Quantity.PRESSURE_DIFFERENCE else None
    sensor = Sensor(
        tag="X1.V", area="X1", quantity=quantity, unit=UNITS[quantity], interval="2s", limits=limits, against=against
    )
    name = {"zh": "测试", "en": "Test"}
    return Facility(id="BJ-TST-1", name=name, jurisdiction="110000", areas=[room], sensors=[sensor]), sensor


@settings(max_examples=40)
@given(st.integers(0, len(SENSORS) - 1), st.integers(0, 10), st.lists(st.integers(1, 400), max_size=6))
def test_any_split_of_time_gives_the_same_values(place, seed, cuts):
    firm, sensor = SENSORS[place]
    signal = signal_of(firm, sensor, seed=seed, speed=60)
    at = grid(0.25)
    edges = [0, *itertools.accumulate(cuts), at.size]
    parts = [signal.values(at[a:b]) for a, b in itertools.pairwise(edges) if a < b <= at.size]
    whole = signal.values(at[: sum(part.size for part in parts)])
    covered = np.concatenate(parts) if parts else whole
    assert np.array_equal(covered, whole[: covered.size])
    assert [signal.values(at[i : i + 1])[0] for i in (0, 7, 100)] == signal.values(at)[[0, 7, 100]].tolist()


def test_another_seed_firm_or_tag_gives_other_values():
    firm, sensor = find("CR1.T1")
    other_tag = find("CR1.T2")[1]
    at = grid(0.2)
    base = signal_of(firm, sensor, seed=1, speed=60).values(at)
    assert not np.array_equal(base, signal_of(firm, sensor, seed=2, speed=60).values(at))
    assert not np.array_equal(base, signal_of(firm, other_tag, seed=1, speed=60).values(at))
    renamed = firm.model_copy(update={"id": "BJ-WHS-0022"})
    assert not np.array_equal(base, signal_of(renamed, sensor, seed=1, speed=60).values(at))


@pytest.mark.parametrize(("firm", "sensor"), SENSORS, ids=lambda value: getattr(value, "tag", getattr(value, "id", "")))
def test_a_quiet_day_stays_inside_limits_and_range_at_the_sensors_resolution(firm, sensor):
    values = signal_of(firm, sensor, seed=3, speed=60).values(grid(3))
    for span in (sensor.limits, sensor.range):
        if span is not None:
            assert span.low is None or values.min() >= span.low
            assert span.high is None or values.max() <= span.high
    if not sensor.quantity.startswith("particles"):
        steps = values / sensor.resolution
        assert np.allclose(steps, np.rint(steps), atol=1e-6)
    assert len(set(values.tolist())) >= 4
    longest = max(len(list(run)) for _, run in itertools.groupby(values.tolist()))
    assert longest < 60


def test_a_value_is_written_as_short_as_its_resolution():
    firm, sensor = find("CR1.T1")
    assert {
        len(repr(v).partition(".")[2]) for v in signal_of(firm, sensor, seed=1, speed=60).values(grid(1)).tolist()
    } == {1}


def test_the_day_is_warmest_in_the_afternoon_local_time():
    firm, sensor = find("CS1.T1")
    at = grid(24 * 3, 60_000)
    level = signal_of(firm, sensor, seed=1, speed=1).level(at)
    hour = (at / 3_600_000 + 8) % 24
    assert level[(hour > 14) & (hour < 16)].mean() > level[(hour > 2) & (hour < 4)].mean() + 1


def test_speed_squeezes_the_same_day():
    firm, sensor = find("CS1.T1")
    slow, fast = (signal_of(firm, sensor, seed=1, speed=speed) for speed in (1, 60))
    at = grid(1) // 60 * 60
    assert np.allclose(slow.level(at), fast.level(at // 60))


def test_a_door_warms_every_sensor_of_its_room_and_no_other():
    firm = find("CR1.T1")[0]
    at = grid(24, 60_000)
    rest = {tag: signal_of(firm, find(tag)[1], seed=1, speed=1) for tag in ("CR1.T1", "CR1.T2", "CR2.T1")}
    bumps = {}
    for tag, signal in rest.items():
        calm = shape_without_door(signal)
        bumps[tag] = signal.level(at) - calm.level(at) > 0.05
    assert np.array_equal(bumps["CR1.T1"], bumps["CR1.T2"]) or (bumps["CR1.T1"] ^ bumps["CR1.T2"]).mean() < 0.02
    assert (bumps["CR1.T1"] ^ bumps["CR2.T1"]).mean() > 0.05
    hour = (at / 3_600_000 + 8) % 24
    working = (hour > 8) & (hour < 19)
    assert bumps["CR1.T1"][working].mean() > 3 * bumps["CR1.T1"][~working].mean()


def shape_without_door(signal):
    from dataclasses import replace

    return replace(signal, shape=replace(signal.shape, door=0.0))


def test_a_room_defrosts_every_six_hours():
    from dataclasses import replace

    firm, sensor = find("CR1.T1")
    signal = signal_of(firm, sensor, seed=1, speed=1)
    at = grid(48, 60_000)
    hump = signal.level(at) - replace(signal, shape=replace(signal.shape, defrost=0.0)).level(at) > 0.4
    starts = at[1:][hump[1:] & ~hump[:-1]]
    assert set(np.diff(starts).tolist()) == {6 * 3_600_000}


def test_nitrogen_boils_off_and_is_refilled():
    firm, sensor = find("TK1.L", "BJ-CEL-0003")
    level = signal_of(firm, sensor, seed=1, speed=1).level(grid(120, 600_000))
    steps = np.diff(level)
    assert (steps < 0).mean() > 0.9
    assert steps.max() > 1
    assert 61 < level.min() < level.max() < 89


def test_the_airlock_lowers_the_pressure_difference():
    firm, sensor = find("FILL.DP", "BJ-MFR-0007")
    signal = signal_of(firm, sensor, seed=1, speed=60)
    assert (shape_without_door(signal).level(grid(2)) - signal.level(grid(2))).max() > 0.5


def test_particles_are_counted_whole_in_the_registered_sample():
    firm, sensor = find("FILL.P05", "BJ-MFR-0007")
    counts = signal_of(firm, sensor, seed=1, speed=60).values(grid(3)) * sensor.sample_m3
    assert np.abs(counts - np.rint(counts)).max() < 0.03
    assert 0.6 < counts.var() / counts.mean() < 2.5


@pytest.mark.parametrize("mean", [0.0, 0.3, 20.0, 380.0, 5_000.0])
def test_poisson_draws_have_their_mean_and_variance(mean):
    n = np.arange(20_000, dtype=np.int64)
    drawn = poisson(key_of("p"), n, np.full(n.shape, mean))
    assert abs(drawn.mean() - mean) <= 4 * np.sqrt(mean / n.size) + 1e-12
    assert abs(drawn.var() - mean) <= 0.05 * mean + 1e-12
    assert np.array_equal(drawn, np.rint(drawn))


def test_uniform_and_normal_draws_are_spread_and_independent_of_their_neighbours():
    n = np.arange(50_000, dtype=np.int64) + BEGIN
    even, bell = uniform(key_of(1), n), normal(key_of(1), n)
    assert 0 < even.min() < even.max() < 1
    assert abs(even.mean() - 0.5) < 0.01
    assert abs(bell.mean()) < 0.02
    assert abs(bell.std() - 1) < 0.02
    assert abs(np.corrcoef(bell[1:], bell[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("quantity", list(Quantity))
@pytest.mark.parametrize("kind", list(AreaKind))
def test_every_quantity_has_a_shape_in_every_kind_of_area(quantity, kind):
    room = {"grade": "C", "standard": "cn-gmp-2010"} if kind is AreaKind.CLEANROOM else {}
    firm, sensor = one(kind, quantity, **room)
    values = signal_of(firm, sensor, seed=1, speed=60).values(grid(0.2))
    assert np.isfinite(values).all()
    assert shape_of(quantity, firm.areas[0]).resolution > 0


@pytest.mark.parametrize("limits", [{"low": 30, "high": 31}, {"low": 90}, {"high": -90}, {"low": 4.6, "high": 4.9}])
def test_unusual_limits_move_and_flatten_the_signal(limits):
    firm, sensor = one(AreaKind.COLD_ROOM, Quantity.TEMPERATURE, limits=limits)
    values = signal_of(firm, sensor, seed=1, speed=60).level(grid(2))
    assert values.min() >= limits.get("low", -1e9)
    assert values.max() <= limits.get("high", 1e9)


def test_the_register_is_six_facilities_marked_as_simulated_with_contacts():
    entries = read_register(REGISTER).facilities
    assert len(entries) == 6
    for entry in entries:
        assert entry.name.zh.endswith("（模拟）")
        assert entry.name.en.endswith("(simulated)")
        assert entry.contacts
        assert all(contact.email is None or contact.email.endswith(".invalid") for contact in entry.contacts)
        assert all(sensor.interval and sensor.range and sensor.resolution for sensor in entry.sensors)


def test_every_shipped_rule_of_a_few_names_watches_something():
    bundle = load_bundle(["default"])
    watched = set()
    for firm in FIRMS:
        plan = compile_plan(firm, bundle, BEGIN)
        watched |= {i.rule.id for found in plan.by_kind.values() for i in found}
    assert watched >= {
        "cold-chain.store-out",
        "cold-chain.interval-storage",
        "data-integrity.gap",
        "data-integrity.frozen",
        "data-integrity.physical-range",
        "cleanroom.a-fine",
        "cell-storage.vapour-high",
        "cell-storage.oxygen-low",
    }
