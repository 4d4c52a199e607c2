"""From changes to one line per alarm: the axis of the condition, the highest colour, what suppresses it."""

from __future__ import annotations

from typing import Any

import pytest

from rules.alarms import fold_alarms
from rules.canonical import canonical_bytes
from rules.changes import Change, ChangeKind, alarm_id
from rules.instants import format_instant
from rules.models import Severity

BEGIN = 1_772_323_200_000
MINUTE = 60_000


class Story:
    """Builds the changes of one stream, in order of seq."""

    def __init__(self, facility: str = "BJ-MFR-0007") -> None:
        self.facility = facility
        self.changes: list[Change] = []

    def add(self, kind: str, *, tag: str = "T1", start: int = 0, end: int | None = None, **members: Any) -> Change:
        subject = members.pop("subject", {"tag": tag})
        rule = members.pop("rule", "cold-chain.store-out")
        change = Change.model_validate(
            {
                "stream": self.facility,
                "seq": len(self.changes) + 1,
                "facility": self.facility,
                "alarm": members.pop("alarm", alarm_id(rule, self.facility, subject, BEGIN + start)),
                "rule": rule,
                "version": "1.0.0",
                "packs": "0" * 64,
                "subject": subject,
                "change": kind,
                "severity": members.pop("severity", "orange"),
                "stage": "live",
                "start": BEGIN + start,
                "end": None if end is None else BEGIN + end,
                "at": BEGIN + 60 * MINUTE,
                "received": BEGIN + 60 * MINUTE,
                "message": {"zh": "文", "en": "text"},
                **members,
            }
        )
        self.changes.append(change)
        return change

    def one(self) -> dict[str, Any]:
        alarms = fold_alarms(self.changes)
        assert len(alarms) == 1
        return alarms[0].to_json()


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_line_has_the_members_of_the_contract_in_its_order(story: Story) -> None:
    change = story.add("raised")
    assert story.one() == {
        "alarm": change.alarm,
        "rule": "cold-chain.store-out",
        "facility": "BJ-MFR-0007",
        "subject": {"tag": "T1"},
        "severity": "orange",
        "stage": "live",
        "start": format_instant(BEGIN),
        "end": None,
        "status": "active",
        "suppressed_by": None,
        "late": False,
        "changes": 1,
    }
    members = "alarm rule facility subject severity stage start end status suppressed_by late changes"
    assert " ".join(story.one()) == members


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ("raised", "active"),
        ("raised stepped", "active"),
        ("raised unknown", "unknown"),
        ("raised unknown stepped", "unknown"),
        ("raised unknown suppressed", "unknown"),
        ("raised unknown amended", "unknown"),
        ("raised unknown known", "active"),
        ("raised cleared", "cleared"),
        ("raised unknown cleared", "cleared"),
        ("raised cleared amended", "active"),
        ("raised retracted", "retracted"),
        ("raised unknown retracted", "retracted"),
        ("raised suppressed released", "active"),
    ],
)
def test_the_status_follows_the_condition(story: Story, kinds: str, status: str) -> None:
    for kind in kinds.split():
        story.add(kind, end=MINUTE if kind == "cleared" else None)
    line = story.one()
    assert line["status"] == status
    assert line["changes"] == len(kinds.split())


def test_an_amended_end_keeps_it_cleared(story: Story) -> None:
    story.add("raised")
    story.add("cleared", end=5 * MINUTE)
    alarm = story.changes[0].alarm
    story.add("amended", start=-MINUTE, end=7 * MINUTE, alarm=alarm)
    line = story.one()
    assert (line["status"], line["start"], line["end"]) == (
        "cleared",
        format_instant(BEGIN - MINUTE),
        format_instant(BEGIN + 7 * MINUTE),
    )


@pytest.mark.parametrize("colours", [["blue", "red", "yellow"], ["red", "orange"], ["yellow", "red"]])
def test_the_highest_colour_is_kept(story: Story, colours: list[str]) -> None:
    for i, colour in enumerate(colours):
        story.add("stepped" if i else "raised", severity=colour)
    assert story.one()["severity"] == "red"
    assert fold_alarms(story.changes)[0].current is Severity(colours[-1])


def test_what_suppresses_it_is_named_until_it_is_released(story: Story) -> None:
    story.add("raised")
    story.add("suppressed", by="a" * 32)
    assert story.one()["suppressed_by"] == "a" * 32
    story.add("released")
    assert story.one()["suppressed_by"] is None


def test_late_is_said_of_the_alarm_that_late_data_raised(story: Story) -> None:
    story.add("raised", late=True)
    story.add("cleared", end=MINUTE)
    assert story.one()["late"] is True


def test_alarms_are_ordered_by_start_rule_facility_and_subject() -> None:
    first, second = Story("BJ-B"), Story("BJ-A")
    first.add("raised", start=MINUTE)
    first.add("raised", tag="T2")
    first.add("raised", tag="T1")
    first.add("raised", rule="cold-chain.interval-storage", subject={})
    second.add("raised", tag="T9")
    order = [
        (a.start, a.rule, a.facility, canonical_bytes(a.subject)) for a in fold_alarms(first.changes + second.changes)
    ]
    assert order == sorted(order)
    assert [place[2] for place in order] == ["BJ-B", "BJ-A", "BJ-B", "BJ-B", "BJ-B"]


def test_alarms_of_different_streams_do_not_touch() -> None:
    stories = [Story("BJ-A"), Story("BJ-B")]
    for one in stories:
        one.add("raised")
    stories[0].add("cleared", end=MINUTE)
    mixed = [stories[1].changes[0], *stories[0].changes]
    assert {a.facility: a.status for a in fold_alarms(mixed)} == {"BJ-A": "cleared", "BJ-B": "active"}


def test_no_changes_make_no_alarms() -> None:
    assert fold_alarms([]) == []


def test_every_kind_of_change_is_counted(story: Story) -> None:
    for kind in ChangeKind:
        story.add(kind.value)
    assert story.one()["changes"] == len(ChangeKind)
