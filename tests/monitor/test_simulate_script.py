"""Scripts are checked whole; faults change readings only where and while they say."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from pydantic import ValidationError

from monitor.register.files import read_register
from monitor.simulate.expectation import expected
from monitor.simulate.faults import beyond, sources_of
from monitor.simulate.keys import read_keys
from monitor.simulate.run import REGISTER
from monitor.simulate.script import STORY, Expected, Script, misplaced, read_script
from rules.errors import BadInputError
from rules.instants import parse_instant

FIRMS = [entry.logged() for entry in read_register(REGISTER).facilities]
BEGAN = 1_772_294_400_000
WHY = {"zh": "测试", "en": "test"}


def script(*faults):
    entries = [{"facility": "BJ-WHS-0021", "at": "100s", "for": "100s", "why": WHY, **fault} for fault in faults]
    return Script.model_validate({"schema": "simulation/1", "title": WHY, "faults": entries})


def source(what, tag, firm="BJ-WHS-0021"):
    facility = next(one for one in FIRMS if one.id == firm)
    return next(s for s in sources_of(facility, what, began=BEGAN, seed=1, speed=60) if s.tag == tag)


def at(*seconds):
    return BEGAN + np.array(seconds, np.int64) * 1000


def difference(fault, tag, firm="BJ-WHS-0021", seconds=range(0, 400, 2)):
    """Return what a fault changes, by second of the run."""
    when = at(*seconds)
    faulty = source(script({"facility": firm, **fault}), tag, firm).values(when)
    return dict(zip(seconds, (faulty - source(script(), tag, firm).values(when)).tolist(), strict=True))


def test_an_excursion_leaves_and_comes_back_and_changes_nothing_before():
    moved = difference({"fault": "excursion", "tag": "CR1.T1", "by": 6}, "CR1.T1")
    assert all(moved[s] == 0 for s in range(0, 100, 2))
    assert moved[110] > 2
    assert 5.7 < moved[190] < 6.1
    assert moved[212] < 3
    assert abs(moved[300]) < 0.05


@pytest.mark.parametrize(("tag", "hit"), [("CR1.T1", True), ("CR1.T3", True), ("CR2.T1", False), ("V1.T1", False)])
def test_a_fault_of_an_area_befalls_all_its_sensors_and_no_others(tag, hit):
    moved = difference({"fault": "excursion", "area": "CR1", "by": -5}, tag)
    assert (min(moved.values()) < -4) is hit


def test_oxygen_falls_a_tank_warms_particles_multiply():
    assert min(difference({"fault": "oxygen-low", "tag": "CRYO.O2"}, "CRYO.O2", "BJ-CEL-0003").values()) < -2.8
    assert max(difference({"fault": "cryo-warm", "tag": "TK1.T"}, "TK1.T", "BJ-CEL-0003").values()) > 39
    fault = {"fault": "particles", "tag": "FILL.P05", "times": 12}
    more = difference(fault, "FILL.P05", "BJ-MFR-0007")
    inside = [more[s] for s in range(100, 200, 2)]
    assert 5_000 < np.mean(inside) < 12_000
    assert {more[s] for s in (*range(0, 100, 2), *range(200, 400, 2))} == {0.0}


def test_a_frozen_value_is_the_one_of_its_beginning_and_a_broken_wire_leaves_the_range():
    frozen = source(script({"fault": "frozen", "tag": "CR1.T1"}), "CR1.T1")
    values = frozen.values(at(*range(100, 200, 2)))
    assert set(values.tolist()) == set(source(script(), "CR1.T1").values(at(100)).tolist())
    assert len(set(frozen.values(at(*range(200, 300, 2))).tolist())) > 3
    broken = source(script({"fault": "out-of-range", "tag": "CR1.T1"}), "CR1.T1")
    assert set(broken.values(at(100, 150, 198)).tolist()) == {70.0}
    assert beyond(broken.signal.sensor) > broken.signal.sensor.range.high
    assert broken.values(at(98, 200)).max() < 10


def test_an_instrument_saturates_at_its_range():
    hot = source(script({"fault": "excursion", "tag": "CR1.T1", "by": 1_000}), "CR1.T1")
    assert hot.values(at(198)).tolist() == [60.0]


def test_two_faults_of_one_sensor_add_up():
    fault = {"fault": "excursion", "tag": "CR1.T1"}
    moved = source(script({**fault, "by": 3}, {**fault, "by": 4}), "CR1.T1").values(at(198))
    assert moved[0] - source(script(), "CR1.T1").values(at(198))[0] == pytest.approx(7, abs=0.3)


def test_faulty_readings_do_not_depend_on_the_split_of_time_either():
    one = source(
        script({"fault": "frozen", "tag": "CR1.T1"}, {"fault": "excursion", "tag": "CR1.T1", "by": 3, "at": "50s"}),
        "CR1.T1",
    )
    when = at(*range(0, 400, 2))
    assert one.values(when).tolist() == [one.values(when[i : i + 1])[0] for i in range(when.size)]


def test_what_does_not_fit_the_register_is_all_said_at_once():
    what = script(
        {"fault": "excursion", "tag": "NOPE", "by": 1},
        {"fault": "silence", "facility": "BJ-XXX-1"},
        {"fault": "oxygen-low", "tag": "CR1.T1"},
        {"fault": "cryo-warm", "tag": "CR1.T1"},
        {"fault": "frozen", "area": "CR9"},
    )
    faults = misplaced(what, FIRMS)
    assert [(fault.pointer, fault.code) for fault in faults] == [
        ("/faults/0", "no_sensor"),
        ("/faults/1/facility", "unknown_facility"),
        ("/faults/2", "no_sensor"),
        ("/faults/3", "wrong_place"),
        ("/faults/4", "no_sensor"),
    ]


def test_a_sensor_without_range_has_nothing_to_leave():
    bare = FIRMS[0].sensors[0].model_copy(update={"range": None})
    firm = FIRMS[0].model_copy(update={"sensors": [bare]})
    what = script({"fault": "out-of-range", "facility": firm.id, "tag": bare.tag})
    assert [fault.code for fault in misplaced(what, [firm])] == ["wrong_place"]


BAD = """\
schema: simulation/1
title: {zh: 坏, en: bad}
faults:
  - {fault: excursion, facility: BJ-WHS-0021, at: 15s, for: 0s, by: 6, why: {zh: 一, en: a}}
  - {fault: silence, facility: BJ-WHS-0021, tag: CR1.T1, area: CR1, at: 15s, for: 4s, why: {zh: 一, en: a}}
  - {fault: bad-post, facility: BJ-WHS-0021, tag: CR1.T1, at: -1s, for: 4s, why: {zh: 一, en: a}}
  - {fault: flood, facility: BJ-WHS-0021, at: 1s, for: 4s, why: {zh: 一, en: a}}
"""


def test_a_bad_script_names_every_place(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        read_script(path, FIRMS)
    report = caught.value.report()
    for line in (4, 5, 6, 7):
        assert f"bad.yaml:{line}:" in report
    assert "tag" in report  # a bad-post has no tag


@pytest.mark.parametrize(
    ("text", "code"), [("{", "yaml"), ("a: &x 1\nb: *x", "alias"), ("schema: simulation/2", "unknown_value")]
)
def test_what_is_no_script_is_said(tmp_path, text, code):
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        read_script(path, FIRMS)
    assert code in {fault.code for fault in caught.value.faults}


def test_a_script_that_cannot_be_read_or_fits_no_register_is_said(tmp_path):
    with pytest.raises(BadInputError, match="script"):
        read_script(tmp_path / "none.yaml", FIRMS)
    with pytest.raises(BadInputError) as caught:
        read_script(STORY, FIRMS[:1])
    assert {fault.code for fault in caught.value.faults} == {"unknown_facility"}
    assert all(fault.pointer.startswith("story.yaml:") for fault in caught.value.faults)


def test_the_story_shows_an_excursion_and_a_silence_within_two_minutes_and_names_every_fault():
    story = read_script(STORY, FIRMS)
    kinds = {fault.fault for fault in story.faults}
    assert kinds >= {
        "excursion",
        "silence",
        "frozen",
        "cryo-warm",
        "oxygen-low",
        "particles",
        "out-of-range",
        "bad-post",
    }
    soon = [alarm for alarm in expected(story) if (alarm.ended or alarm.raised)[1] <= 118_000]
    assert [(alarm.facility, alarm.rule, alarm.subject, alarm.how) for alarm in soon] == [
        ("BJ-WHS-0021", "cold-chain.store-out", {"tag": "CR1.T1"}, "cleared"),
        ("BJ-MFR-0007", "cold-chain.store-out", {"tag": "CR1.T1"}, "cleared"),
        ("BJ-HOS-0104", "data-integrity.gap", {}, "retracted"),
        ("BJ-MFR-0007", "report-clock.adr-death", {"report": "ADR-SIM-0301"}, "cleared"),
        ("BJ-MFR-0007", "risk.step-up", {}, "stands"),
        ("BJ-MFR-0007", "cross-check.deviation-misstated", {"report": "DEV-SIM-0014"}, "stands"),
    ]
    assert soon[0].ended[0] - soon[0].raised[1] >= 15_000  # time to acknowledge it
    assert len(expected(story)) == sum(len(one.expect) for one in (*story.faults, *story.reports))
    assert story.end >= max((alarm.ended or alarm.raised)[1] for alarm in expected(story))


REPORTS = """\
schema: simulation/1
title: {zh: 报告, en: reports}
faults: []
reports:
  - {facility: BJ-NOBODY-1, at: 1s, type: dsur, id: R-1, fields: {trial_id: T-1, anniversary: 2026-03-10, susar_count: 0}, why: {zh: 一, en: a}}
  - facility: BJ-WHS-0021
    at: 1s
    type: adr-case
    id: R-2
    fields:
      case_id: C-1
      known_at: "-2x"
      onset: 2026-01-20
      seriousness: dead
      is_new: false
      product: P-1
      outcome: recovered
      source_channel: hospital
    why: {zh: 一, en: a}
  - {facility: BJ-WHS-0021, at: 1s, type: hearsay, id: R-3, fields: {}, why: {zh: 一, en: a}}
  - {facility: BJ-WHS-0021, at: 1s, type: dsur, id: R-4, revision: 2, fields: {trial_id: T-1, anniversary: 2026-03-10, susar_count: 0}, why: {zh: 一, en: a}}
"""


def test_reports_of_a_script_are_held_against_their_types_with_file_and_line(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(REPORTS, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        read_script(path, FIRMS)
    lines = {(fault.pointer.split(":")[1], fault.code) for fault in caught.value.faults}
    assert {("5", "unknown_facility"), ("14", "unknown_value"), ("20", "unknown_value")} <= lines
    assert {"12", "21"} <= {line for line, _ in lines}  # no instant; a revision without a reason


def test_instants_of_a_report_count_from_the_beginning_of_the_run():
    fields = {"a": "+4s", "b": ["-2d", {"c": "+1h"}], "d": "-2", "e": "+4s.", "f": 7}
    one = {"facility": "BJ-WHS-0021", "at": "30s", "type": "dsur", "id": "R-1", "fields": fields, "why": WHY}
    what = Script.model_validate({"schema": "simulation/1", "title": WHY, "faults": [], "reports": [one]})
    began = 1_772_294_400_000
    (report,) = what.submitted("BJ-WHS-0021")
    post = report.post(began)
    assert parse_instant(post["sent"]) == began + 30_000
    assert parse_instant(post["fields"]["a"]) == began + 4_000
    assert parse_instant(post["fields"]["b"][0]) == began - 2 * 86_400_000
    assert parse_instant(post["fields"]["b"][1]["c"]) == began + 3_600_000
    assert [post["fields"][name] for name in "def"] == ["-2", "+4s.", 7]
    assert "reason" not in post
    assert what.end == 30_000
    assert what.only({"BJ-HOS-0104"}).reports == []
    assert what.submitted("BJ-HOS-0104") == []


@pytest.mark.parametrize("more", [{}, {"how": "stands", "ended": ["3s", "4s"]}, {"how": "cleared"}])
def test_an_alarm_ends_or_stands(more):
    alarm = {"rule": "cold-chain.store-out", "subject": {}, "severity": "orange", "raised": ["1s", "2s"], **more}
    with pytest.raises(ValidationError, match="stands"):
        Expected.model_validate(alarm)


def keys_file(tmp_path, value, mode=0o600):
    path = tmp_path / "keys.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    path.chmod(mode)
    return path


def test_keys_are_read_for_the_firms_asked_for(tmp_path):
    path = keys_file(tmp_path, {"BJ-A-1": "k" * 43, "BJ-B-1": "m" * 43})
    assert read_keys(path, ["BJ-B-1"]) == {"BJ-B-1": "m" * 43}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_keys_that_others_can_read_are_not_used(tmp_path, mode):
    with pytest.raises(BadInputError) as caught:
        read_keys(keys_file(tmp_path, {"BJ-A-1": "k" * 43}, mode), ["BJ-A-1"])
    assert [fault.code for fault in caught.value.faults] == ["open_to_others"]


@pytest.mark.parametrize("value", ["{", "[]", {"bad id": "k" * 43}, {"BJ-A-1": "short"}, {"BJ-A-1": 5}])
def test_a_keys_file_of_another_form_is_refused_without_a_key_in_the_message(tmp_path, value):
    with pytest.raises(BadInputError) as caught:
        read_keys(keys_file(tmp_path, value), ["BJ-A-1"])
    assert "k" * 43 not in caught.value.report()
    assert "short" not in caught.value.report().replace("too_short", "")


def test_firms_without_a_key_and_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(BadInputError) as caught:
        read_keys(keys_file(tmp_path, {"BJ-A-1": "k" * 43}), ["BJ-B-1", "BJ-A-1", "BJ-C-1"])
    assert [fault.detail for fault in caught.value.faults] == ["BJ-B-1 has no key", "BJ-C-1 has no key"]
    with pytest.raises(BadInputError) as caught:
        read_keys(tmp_path / "none.json", [])
    assert caught.value.faults[0].code == "unreadable"
    assert os.strerror(2) in caught.value.faults[0].detail
