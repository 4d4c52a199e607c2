"""What rules lack in the register, by hand: what is listed of whom, what is a choice, the alarm, its evidence and the explanation.

Above 400 lines on purpose: what each kind of rule lacks stands side by side, so that a missing kind is seen.
"""

from __future__ import annotations

from typing import Any

import pytest

from rules import lacks
from rules.allowances import Allowances
from rules.changes import ChangeKind
from rules.engine import Engine
from rules.exceptions import SiteException
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.facts import FACTS
from rules.fitting import EVIDENCE_BYTES, fit
from rules.lint import lint
from rules.models import Severity
from rules.pack import SHIPPED, Bundle, default_bundle
from rules.plan import compile_plan
from rules.rare import incomplete
from rules.rare.speak import LISTED
from rules.rare.store import Rare
from rules.register import Scope
from rules.rule import Among, RegisterCheckRule
from rules.soundness import bundle_faults
from tests.rules.byhand import FACILITY, HandLog, ms, sensor, since
from tests.rules.failures import failing_at

BUNDLE = default_bundle()
RULE = BUNDLE.rule("register.incomplete")
assert isinstance(RULE, RegisterCheckRule)
RANGE = {"low": -40, "high": 60}
WHOLE = {
    "range": RANGE, "resolution": 0.1, "serial": "S-1", "limits": {"low": 2, "high": 8},
    "calibration": {"done": "2026-01-05", "due": "2099-12-31", "points": [{"at": 5, "error": 0.1}]},
}  # fmt: skip
"""All that shipped rules need of a temperature sensor of a cold room."""
STORE = [{"id": "A1", "kind": "cold-room", "floor_m2": 60}]
WHOLESALER = [{"field": "distribution", "line": "drug"}]


def log(**facts: Any) -> HandLog:
    return HandLog().register(
        -1, sensor(**(WHOLE | facts)), sensor("T2", **(WHOLE | {"serial": "S-2"})), areas=STORE, scopes=WHOLESALER
    )


def listed(hand: HandLog, bundle: Bundle = BUNDLE) -> list[tuple[str, str, str]]:
    """Return (rule without its pack, subject, fact) of what is lacking when the register comes."""
    facility = hand.records()[0].payload.facility  # type: ignore[union-attr]
    found = incomplete.missing(RULE, compile_plan(facility, bundle, ms(-1)), bundle, Rare())
    return [(one.rule.split(".")[1], one.name, one.fact) for one in found]


def told(hand: HandLog, *, until: float | None = None, bundle: Bundle = BUNDLE) -> list[tuple[str, float | None]]:
    found = hand.changes(until=until, bundle=bundle)
    return [(c.change.value, since(c.received)) for c in found if c.rule == RULE.id]


# -- what is listed -------------------------------------------------------------------------------------------------
def test_of_a_whole_register_nothing_is_listed() -> None:
    assert listed(log()) == []
    assert log().changes(bundle=BUNDLE) == []


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"range": None}, [("physical-range", "T1", "sensor.range")]),
        ({"resolution": None}, [("last-digit", "T1", "sensor.resolution"), ("too-precise", "T1", "sensor.resolution")]),
        ({"interval": None}, [("effective-rate", "T1", "sensor.interval"), ("gap", "T1", "sensor.interval")]),
        ({"serial": None}, [("serial-changed", "T1", "sensor.serial")]),
        ({"calibration": None}, [("sensor-error", "T1", "sensor.calibration")]),
        ({"calibration": {"done": "2026-01-05", "due": "2099-12-31"}}, [("sensor-error", "T1", "sensor.calibration.points")]),
        ({"limits": {"low": 8, "high": 12}}, [("store-out", "T1", "sensor.limits")]),
        ({"limits": None}, []),
        ({"detection_limit": -40, "resolution": None}, [
            ("at-detection-limit", "T1", "sensor.resolution"), ("last-digit", "T1", "sensor.resolution"),
            ("too-precise", "T1", "sensor.resolution"),
        ]),
        ({"door": "D1", "interval": None}, [
            ("effective-rate", "T1", "sensor.interval"), ("gap", "T1", "sensor.interval"), ("no-door-trace", "T1", "sensor.interval"),
        ]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_of_a_sensor_each_rule_lists_what_it_cannot_judge_without(facts: dict[str, Any], wanted: list[Any]) -> None:
    assert listed(log(**{"interval": "60s"} | facts)) == wanted


def test_a_bound_that_is_not_the_registered_one_is_named() -> None:
    tank = [{"id": "A1", "kind": "cryo-tank"}]
    meter = {"quantity": "ln2-level", "unit": "%", "range": RANGE, "resolution": 0.1, "serial": "S-1"}
    for limits, found in ((None, ""), ({"high": 90}, "no low")):
        facility = HandLog().register(-1, sensor(**meter, limits=limits), areas=tank).records()[0].payload.facility  # type: ignore[union-attr]
        (one,) = incomplete.missing(RULE, compile_plan(facility, BUNDLE, ms(0)), BUNDLE, Rare())
        assert one == ("cell-storage.ln2-low", (("tag", "T1"),), "sensor.limits", found)


def test_limits_that_leave_no_room_say_so() -> None:
    facility = log(limits={"low": 8, "high": 12}).records()[0].payload.facility  # type: ignore[union-attr]
    (one,) = incomplete.missing(RULE, compile_plan(facility, BUNDLE, ms(0)), BUNDLE, Rare())
    assert one.found == "nothing is left between low 8 and high 8"


def test_a_rule_that_judges_in_part_lacks_nothing() -> None:
    """Frozen values without limits, marks without an interval, settings without limits, copies of a day without a resolution."""
    partly = {"data-integrity.frozen", "data-integrity.mark-share", "data-integrity.limit-widened", "data-integrity.day-copy",
              "data-integrity.overwritten", "cold-chain.mkt-year"}  # fmt: skip
    bare = HandLog().register(
        -1, sensor(interval=None, calibration=None), areas=[{"id": "A1", "kind": "room-store"}], scopes=WHOLESALER
    )
    only = BUNDLE.only(partly | {RULE.id})
    assert {rule.id for rule in only.rules} == partly | {RULE.id}
    assert listed(bare, only) == []


def test_a_grade_a_area_of_which_no_batch_step_is_told_is_no_matter_of_the_register() -> None:
    room = [{"id": "A1", "kind": "cleanroom", "grade": "A", "standard": "cn-gmp-2010"}]
    counter = {"quantity": "particles-0.5", "unit": "/m3", "range": RANGE, "resolution": 1, "serial": "S-1"}
    hand = HandLog().register(-1, sensor(**counter), areas=room)
    assert listed(hand) == []
    hand = HandLog().register(-1, sensor(interval=None, **counter), areas=room)
    assert ("a-monitor-off", "T1", "sensor.interval") in listed(hand), "that it lacks"


def test_what_a_rule_lacks_of_an_area_is_said_of_the_area_and_once() -> None:
    box = [{"id": "A1", "kind": "box"}]
    hand = HandLog().register(-1, sensor(**WHOLE), sensor("T2", **WHOLE), areas=box, scopes=WHOLESALER)
    assert listed(hand) == [("ship-cool", "A1", "area.shipment_type"), ("ship-freeze", "A1", "area.shipment_type")]
    loop = [{"id": "A1", "kind": "water-loop"}]
    meter = {"quantity": "conductivity", "unit": "uS/cm", "range": RANGE, "resolution": 0.1, "serial": "S-1"}
    of_meter, of_results = (
        [
            (rule, place, fact)
            for rule in ("chp-conductivity", "stage1")
            for place, fact in (("A1", "area.pharmacopoeia"), ("A1", "area.water"), ("T1", "sensor.compensated"))
        ],
        [(rule, "A1", "area.water") for rule in ("endotoxin", "microbial")],
    )
    assert listed(HandLog().register(-1, sensor(**meter), areas=loop)) == sorted(of_meter + of_results)
    assert listed(HandLog().register(-1, sensor(**meter, compensated=True), areas=loop)) == of_results, (
        "a compensated meter is another"
    )


def test_conductivity_lacks_the_temperature_of_its_own_loop() -> None:
    loops = [{"id": name, "kind": "water-loop", "water": "wfi", "pharmacopoeia": "chp"} for name in ("A1", "A2")]
    meter = {
        "quantity": "conductivity",
        "unit": "uS/cm",
        "range": RANGE,
        "resolution": 0.1,
        "serial": "S-1",
        "compensated": False,
    }
    warm = sensor("W", "A2", **(WHOLE | {"limits": None}))
    assert listed(HandLog().register(-1, sensor(**meter), warm, areas=loops)) == [
        ("chp-conductivity", "A1", "area.temperature_sensor")
    ]
    assert listed(HandLog().register(-1, sensor("C", "A2", **meter), warm, areas=loops)) == []


def test_a_cascade_that_nothing_measures_is_listed_by_its_rooms() -> None:
    rooms = [
        {"id": name, "kind": "cleanroom", "grade": grade, "standard": "cn-gmp-2010"}
        for name, grade in (("A1", "A"), ("B1", "B"))
    ]
    cascades = [{"cleaner": "A1", "dirtier": "B1", "low": 10}]
    facts = {"range": RANGE, "resolution": 0.1, "serial": "S-1", "unit": "Pa"}
    absolute = [sensor(f"P{name}", name, quantity="pressure", **facts) for name in ("A1", "B1")]
    wanted = [("pressure-low", "A1 B1", "cascade.sensors"), ("pressure-reversed", "A1 B1", "cascade.sensors")]
    assert listed(HandLog().register(-1, absolute[0], areas=rooms, cascades=cascades)) == wanted, "of one room alone"
    assert listed(HandLog().register(-1, *absolute, areas=rooms, cascades=cascades)) == []
    across = sensor("DP", "B1", quantity="pressure-difference", against="A1", **facts)
    assert listed(HandLog().register(-1, across, areas=rooms, cascades=cascades)) == [], "from the other side"
    corridor = [rooms[0] | {"kind": "room-store", "grade": None, "standard": None}, rooms[1]]
    assert listed(HandLog().register(-1, absolute[1], areas=corridor, cascades=cascades)) == [], (
        "no rule looks at a store"
    )


def test_a_table_without_a_row_that_fits_lacks_what_its_rows_ask_for_else_a_row() -> None:
    table = BUNDLE.tables["cleanroom-particles"]
    narrow = table.model_copy(
        update={"rows": [row for row in table.rows if row.where["area.standard"] != "cn-gmp-2010"]}
    )
    by_size = table.model_copy(
        update={"rows": [narrow.rows[0].model_copy(update={"where": {"area.floor_m2": Among(min=9)}})]}
    )
    room = [{"id": "A1", "kind": "cleanroom", "grade": "A", "standard": "cn-gmp-2010"}]
    counter = {"quantity": "particles-0.5", "unit": "/m3", "range": RANGE, "resolution": 1, "serial": "S-1"}
    hand = HandLog().register(-1, sensor(**counter), areas=room)
    for other, wanted in ((narrow, ("a-fine", "T1", "table")), (by_size, ("a-fine", "A1", "area.floor_m2"))):
        bundle = Bundle.of(
            BUNDLE.only({"cleanroom.a-fine", RULE.id}).rules,
            [type(table).model_validate(other.model_dump(by_alias=True, exclude_none=True))],
        )
        assert listed(hand, bundle) == [wanted]


def test_areas_and_devices_are_asked_too() -> None:
    areas = [
        {"id": "A1", "kind": "cold-room"},
        {"id": "V1", "kind": "vehicle", "shipment_type": "I"},
        {"id": "R1", "kind": "refrigerator"},
    ]
    hand = HandLog().register(
        -1, sensor(**WHOLE), areas=areas, scopes=WHOLESALER, devices=[{"id": "PLC", "area": "A1"}]
    )
    assert listed(hand) == [
        ("sensor-count", "A1", "area.floor_m2"), ("sensor-count", "V1", "area.volume_m3"), ("serial-changed", "PLC", "device.serial"),
    ]  # fmt: skip


def test_rules_over_events_of_an_area_lack_a_fact_of_it() -> None:
    power = BUNDLE.rule("cold-chain.power-no-alarm")
    assert power is not None
    typed = power.model_copy(update={"applies_to": {"area.shipment_type": "I"}})
    bundle = Bundle.of([typed, RULE], [])
    later = {"id": "V2", "kind": "vehicle", "from": ms(60)}
    areas = [{"id": "V1", "kind": "vehicle"}, {"id": "V3", "kind": "vehicle", "shipment_type": "II"}, later]
    hand = HandLog().register(-1, sensor(area="V1", **WHOLE), areas=areas, scopes=WHOLESALER)
    assert listed(hand, bundle) == [("power-no-alarm", "V1", "area.shipment_type")]


def test_rules_that_are_not_in_force_lack_nothing() -> None:
    physical = BUNDLE.rule("data-integrity.physical-range")
    assert physical is not None
    hand = log(range=None)
    for members in ({"stage": "draft"}, {"stage": "retired"}, {"scopes": [Scope(field="retail", line="drug")]}):
        assert listed(hand, Bundle.of([physical.model_copy(update=members), RULE], [])) == []
    assert listed(hand, Bundle.of([physical.model_copy(update={"stage": "shadow"}), RULE], [])) != []


def test_a_rule_that_an_exception_mutes_lacks_nothing_while_it_does() -> None:
    level = BUNDLE.rule("cell-storage.ln2-low")
    assert level is not None
    allowed = level.model_copy(update={"exceptions": Allowances.model_validate({"mute": True})})
    said = {
        "id": "X-1", "rule": level.id, "facility": FACILITY, "tag": "T1", "from": ms(60), "to": ms(120), "allow": {"mute": True},
        "reason": {"en": "a meter is mended", "zh": "液位计维修"}, "approver": "o-1", "approved_date": "2026-03-01",
    }  # fmt: skip
    bundle = Bundle.of([allowed, RULE], [], [SiteException.model_validate(said)])
    hand = HandLog().register(-1, sensor(quantity="ln2-level", unit="%"), areas=[{"id": "A1", "kind": "cryo-tank"}])
    assert told(hand, until=200, bundle=bundle) == [("raised", -1), ("cleared", 60), ("raised", 120)]


# -- the alarm ------------------------------------------------------------------------------------------------------
def test_it_is_told_once_and_ends_when_nothing_is_lacking() -> None:
    hand = log(range=None)
    hand.register(10, sensor(**(WHOLE | {"serial": None})), areas=STORE, scopes=WHOLESALER, version=2)
    hand.register(20, sensor(**WHOLE), sensor("T2", **WHOLE), areas=STORE, scopes=WHOLESALER, version=3)
    raised, cleared = (c for c in hand.changes(bundle=BUNDLE) if c.rule == RULE.id)
    assert (raised.subject, raised.severity, raised.stage, raised.start) == ({}, Severity.BLUE, "shadow", ms(-1))
    assert raised.message.en == "Registered facts are missing that rules need"
    assert raised.message.zh == "登记信息缺失，部分规则无法判定"
    assert (cleared.change, cleared.received, cleared.end) == (ChangeKind.CLEARED, ms(20), ms(20))
    assert cleared.message.en.endswith("; every rule in force finds what it needs")
    assert cleared.message.zh.endswith("；现行各规则所需登记信息已齐全")
    proof = raised.evidence.model_dump(mode="json", exclude_none=True)
    assert proof["leaves"] == [
        {
            "expr": "facts that rules need and the register lacks",
            "left": 1.0,
            "op": ">",
            "right": 0.0,
            "verdict": "true",
        },
        {"expr": "sensor.range of T1", "op": "needed by", "right": "data-integrity.physical-range", "verdict": "true"},
    ]
    assert proof["records"] == [{"kind": "register", "id": "1"}]
    assert proof["left_out"] == {}
    (leaf,) = cleared.evidence.leaves
    assert (leaf.left, leaf.verdict) == (0.0, "false")
    assert [read.id for read in cleared.evidence.records] == ["3"]


def test_raised_twice_at_one_instant_it_has_another_id() -> None:
    hand = log(range=None).register(
        -1, sensor(**WHOLE), areas=[{"id": "A1", "kind": "refrigerator"}], scopes=WHOLESALER, version=2
    )
    hand.register(-1, sensor(), areas=[{"id": "A1", "kind": "refrigerator"}], scopes=WHOLESALER, version=3)
    found = [c for c in hand.changes(bundle=BUNDLE) if c.rule == RULE.id]
    assert [c.change.value for c in found] == ["raised", "cleared", "raised"]
    assert found[0].alarm == found[1].alarm != found[2].alarm


def test_it_is_told_behind_all_other_rules_of_the_record() -> None:
    hand = HandLog().register(-1, sensor("T", calibration=None), areas=STORE, scopes=WHOLESALER)
    assert [c.rule for c in hand.changes(bundle=BUNDLE)] == [
        "register.calibration-due",
        "register.sensor-count",
        RULE.id,
    ]


def test_a_list_that_is_cut_tells_something_of_each_rule_and_how_many_more() -> None:
    hand = HandLog().register(-1, *[sensor(f"T{i:03}", range=RANGE, serial=f"S-{i}") for i in range(150)], sensor("X"))
    (raised,) = (c for c in hand.changes(bundle=BUNDLE) if c.rule == RULE.id)
    leaves = raised.evidence.leaves
    assert leaves[0].left == 151 * 2 + 2
    assert len(leaves) == 1 + LISTED
    assert raised.evidence.left_out == {"leaves": 151 * 2 + 2 - LISTED}
    assert [(leaf.expr, leaf.right) for leaf in leaves[1:7]] == [
        ("sensor.resolution of T000", "data-integrity.last-digit"), ("sensor.range of X", "data-integrity.physical-range"),
        ("sensor.resolution of T000", "data-integrity.too-precise"), ("sensor.serial of X", "register.serial-changed"),
        ("sensor.resolution of T001", "data-integrity.last-digit"), ("sensor.resolution of T001", "data-integrity.too-precise"),
    ]  # fmt: skip
    assert fit(raised) == raised
    assert len(raised.evidence.model_dump_json()) < EVIDENCE_BYTES


def test_a_certificate_that_an_event_tells_ends_it_and_one_without_points_for_the_bands_begins_it() -> None:
    def certificate(hand: HandLog, at: float, day: str, reference: float) -> HandLog:
        fields = {"point": "T1", "done_at": day, "points": [{"reference": reference, "error": 0.1}]}
        event = {"stream": "device", "type": "calibration", "time": ms(at), "source": "LAB", "fields": fields}
        return hand.line(at, "events", {"batch": f"e{at}", "events": [event]})

    hand = certificate(log(calibration=None), 5, "2026-02-01", 41)
    certificate(certificate(hand, 10, "2026-02-02", 5), 15, "2026-02-03", 41)
    assert told(hand) == [("raised", -1), ("cleared", 10), ("raised", 15)]
    found = [c for c in hand.changes(bundle=BUNDLE) if c.rule == RULE.id]
    assert [read.kind for read in found[2].evidence.records] == ["events", "register"]
    assert "sensor.calibration.points of T1" in [leaf.expr for leaf in found[2].evidence.leaves]


def test_it_asks_for_facts_of_the_facility_alone() -> None:
    labelled = RULE.model_copy(update={"applies_to": {"facility.labels": "vaccine"}})
    bundle = Bundle.of([*(rule for rule in BUNDLE.rules if rule.id != RULE.id), labelled], BUNDLE.tables.values())
    assert told(log(range=None), bundle=bundle) == []
    (fault,) = bundle_faults([RULE.model_copy(update={"applies_to": {"area.kind": "box"}})], [], [])
    assert fault.pointer.endswith("/applies_to/area.kind")


# -- packs and failures -----------------------------------------------------------------------------------------------
def test_packs_with_a_rule_that_asks_for_more_begin_it_and_packs_that_close_begin_it_anew() -> None:
    few = BUNDLE.only({RULE.id, "register.serial-changed"})
    hand = log(range=None).packs(10, BUNDLE).packs(20, few)
    assert told(hand, bundle=few) == [("raised", 10), ("cleared", 20)]
    spared = RULE.model_copy(update={"optional": ["sensor.serial"], "migration": "close"})
    closing = Bundle.of([*BUNDLE.only({"data-integrity.physical-range"}).rules, spared], BUNDLE.tables.values())
    hand = log(range=None).packs(10, closing)
    assert told(hand) == [("raised", -1), ("cleared", 10), ("raised", 10)]
    ended = [c for c in hand.changes(bundle=BUNDLE) if c.rule == RULE.id][1]
    assert ended.message.en == "Register: the rule was changed and begins anew"
    gone = log(range=None).packs(10, BUNDLE.only({"data-integrity.physical-range"}))
    ended = [c for c in gone.changes(bundle=BUNDLE) if c.rule == RULE.id][1]
    assert (ended.message.en, ended.message.zh) == (
        "Register: no longer watched, by a change of register or rules", "登记：登记或规则变更，不再监测",
    )  # fmt: skip


def test_where_it_raises_it_is_put_aside_and_all_others_go_on() -> None:
    hand = log(range=None, calibration=None)
    with failing_at(lambda change: change.rule == RULE.id):
        found = hand.changes(bundle=BUNDLE)
    assert [(c.rule, c.subject) for c in found] == [
        ("register.calibration-due", {"tag": "T1"}), ("register.rule-failed", {"system": RULE.id}),
    ]  # fmt: skip


def test_where_no_rule_lists_it_nothing_is_noted() -> None:
    facility = log(range=None).records()[0].payload.facility  # type: ignore[union-attr]
    without = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {RULE.id})
    assert compile_plan(facility, without, ms(0)).lacks == []
    assert compile_plan(facility, BUNDLE, ms(0)).lacks != []


def test_all_of_it_follows_from_the_register_and_a_snapshot_keeps_the_alarm_alone() -> None:
    engine = Engine(BUNDLE)
    for record in log(range=None).records():
        engine.fold(record)
    case = engine.state_of(FACILITY).rare.of(RULE.id)[incomplete.WHOLE]
    assert (case.facts, case.seen) == ([], [])
    assert case.standing is not None


# -- the rule file and the explanation ----------------------------------------------------------------------------------
def test_every_fact_that_can_be_missing_has_words_in_both_languages() -> None:
    assert all(en and any("\u4e00" <= sign <= "\u9fff" for sign in zh) for en, zh in lacks.WORDS.values())
    assert {lacks.named(name) for name in FACTS if name.startswith("sensor.")} - {
        "sensor.quantity",
        "sensor.unit",
        "sensor.pinned",
    } <= set(lacks.WORDS)
    (fault,) = bundle_faults([RULE.model_copy(update={"optional": ["sensor.colour"]})], [], [])
    assert (fault.code, fault.pointer.split("/")[-2:]) == ("vocabulary", ["optional", "0"])
    (fault,) = bundle_faults(
        [BUNDLE.only({"register.config-hash"}).rules[0].model_copy(update={"optional": ["sensor.serial"]})], [], []
    )
    assert fault.pointer.endswith("/optional")


def test_a_test_may_name_rules_beside_it_of_its_own_packs_or_of_the_shipped_ones(tmp_path: Any) -> None:
    text = (SHIPPED / "register" / "incomplete.yaml").read_text(encoding="utf-8")
    (tmp_path / "register").mkdir()
    path = tmp_path / "register" / "incomplete.yaml"
    path.write_text(text, encoding="utf-8")
    assert lint([tmp_path]) == []
    path.write_text(text.replace("beside: [cell-storage.ln2-low]", "beside: [cell-storage.no-such]"), encoding="utf-8")
    (fault,) = lint([tmp_path])
    assert fault.code == "unknown_rule"
    assert "cell-storage.no-such is neither in these packs nor shipped" in str(fault)


def explained(hand: HandLog, lang: Any = "en") -> str:
    (one,), _ = explain(hand.records(), BUNDLE, RULE.id, at=ms(5))
    assert one.agrees
    return "\n".join(rare_lines(one, lang))


def test_the_explanation_says_the_whole_list_as_of_now() -> None:
    many = HandLog().register(-1, *[sensor(f"T{i:02}", range=RANGE, resolution=0.1, interval=None) for i in range(20)])
    said = explained(many)
    assert "it fired: blue" in said
    assert "facts that rules lack (60):" in said
    assert (
        "    data-integrity.gap: sensor.interval (recording interval): T00, T01, T02, T03, T04, T05, T06, T07, T08, T09, T10, T11 and 8 more"
        in said
    )
    assert "规则缺少的登记信息（60 项）" in explained(many, "zh")
    assert "等另 8 个" in explained(many, "zh")
    narrow = explained(log(limits={"low": 8, "high": 12}))
    assert "cold-chain.store-out: sensor.limits (limits): T1 (nothing is left between low 8 and high 8)" in narrow
    calm = explained(log())
    assert "it did not fire" in calm
    assert "facts that rules lack (0):" in calm
    assert "false    lacking: a rule in force lacks a registered fact  [0 > 0]" in calm


def test_the_json_has_all_of_it_and_other_rules_have_no_such_member() -> None:
    (one,), _ = explain(log(limits={"low": 8, "high": 12}, range=None).records(), BUNDLE, RULE.id, at=ms(5))
    assert one.to_json()["lacks"] == [
        {"rule": "cold-chain.store-out", "subject": {"tag": "T1"}, "fact": "sensor.limits",
         "registered": "nothing is left between low 8 and high 8"},
        {"rule": "data-integrity.physical-range", "subject": {"tag": "T1"}, "fact": "sensor.range", "registered": None},
    ]  # fmt: skip
    (other, *_), _ = explain(log().records(), BUNDLE, "register.calibration-due", at=ms(5))
    assert "lacks" not in other.to_json()
