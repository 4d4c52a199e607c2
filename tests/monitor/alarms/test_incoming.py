"""Whatever stands in the topic of changes: it becomes a row on both databases, or a foreign record, and stops nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from monitor.alarms.incoming import ForeignError, Incoming, read, read_change
from monitor.alarms.operators import open_alarms
from monitor.alarms.projection import FOREIGN, apply_batch
from monitor.store.desk_tables import AlarmRow, ChangeRow, LiveRow, OperatorAlarm, StreamRow
from rules.canonical import canonical_bytes
from tests.monitor.alarms.changes import change, incoming

HOSTILE = {
    "a seq that no column holds": {"seq": 2**31},
    "a seq that JSON does not hold": {"seq": 2**60},
    "a seq of a thousand digits": {"seq": 10**1000},
    "a long rule": {"rule": "r" * 129},
    "no rule": {"rule": ""},
    "NUL in the rule": {"rule": "a\x00b"},
    "NUL in the version": {"version": "1\x00"},
    "long packs": {"packs": "p" * 5_000},
    "NUL in what covers it": {"by": "f" * 31 + "\x00"},
    "what covers it is no id": {"by": "f" * 33},
    "what covers it has two lines": {"by": "f" * 31 + "\n"},
    "a place that is none": {"source": {"partition": -1, "offset": 2}},
    "an offset that no number holds": {"source": {"partition": 1, "offset": 2**63}},
    "a place of a thousand digits": {"source": {"partition": 10**1000, "offset": 1}},
    "a count that JSON does not hold": {"evidence": {"left_out": {"records": 2**60}}},
    "a recurrence that JSON does not hold": {"evidence": {"recurrence": 10**400}},
    "half a character in the subject": {"subject": {"tag": "\ud800"}},
    "half a character in the message": {"message": {"zh": "\ud800", "en": "x"}},
    "NUL in the message": {"message": {"zh": "\x00", "en": "x"}},
    "an instant that none can be": {"received": 2**63},
    "a negative instant": {"start": -(2**63)},
}
ODD_BUT_WELL = {
    "NUL in the subject": {"subject": {"tag": "a\x00b"}},
    "NUL in the evidence": {"evidence": {"marks": ["\x00"], "leaves": []}},
    "all that a seq may be": {"seq": 2**31 - 1},
    "a stream of 128 signs": {"stream": "lot:" + "x" * 124},
    "a long message": {"message": {"zh": "温" * 4000, "en": "x" * 4000}},
    "much evidence": {"evidence": {"marks": ["m" * 1000] * 60}},
    "a rule of 128 characters": {"rule": "规" * 128},
}


def with_members(members):
    """A change's JSON with some members set, however wrong."""
    value = json.loads(change(2, "amended").model_dump_json()) | members
    return json.dumps(value).encode()


def applied(store, value):
    with store.writing() as session:
        return apply_batch(session, incoming([change(1), value, change(1, stream="B2")]), 5_000)


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_what_no_row_could_hold_is_foreign_and_stops_nothing(store, members):
    outcome = applied(store, with_members(members))
    assert (outcome.applied, outcome.foreign) == (2, 1)
    with store.reading() as session:
        (alarm,) = open_alarms(session)
        assert (alarm.code, alarm.detail.partition(":")[0]) == (FOREIGN, "offset 1")
        assert sorted(session.scalars(select(ChangeRow.stream))) == ["A1", "B2"]


@pytest.mark.parametrize("members", ODD_BUT_WELL.values(), ids=ODD_BUT_WELL)
def test_what_is_odd_but_a_change_becomes_a_row(store, members):
    value = with_members(members)
    assert applied(store, value).foreign == 0
    wanted = read_change(value)
    with store.reading() as session:
        row = session.get_one(ChangeRow, (wanted[0].stream, wanted[0].seq))
        assert row.body == wanted[1]


@pytest.fixture(scope="module")
def postgres_store(postgres):
    from monitor.store.session import Store

    made = Store(postgres.database("offsite"))
    yield made
    made.close()


MEMBERS = list(json.loads(change(1).model_dump_json()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.text(alphabet=st.characters(exclude_categories=()), max_size=200)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(MEMBERS), JSON | TEXTS | st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=2))
def test_any_members_of_a_change_are_taken_or_told_on_postgresql(postgres_store, members):
    value = with_members(members)
    with postgres_store.writing() as session:
        for table in (AlarmRow, ChangeRow, LiveRow, OperatorAlarm, StreamRow):
            session.execute(delete(table))
    outcome = applied(postgres_store, value)
    with postgres_store.reading() as session:
        kept = session.execute(select(ChangeRow.stream, ChangeRow.seq)).all()
        told = [alarm.code for alarm in open_alarms(session)]
    assert len(kept) + outcome.foreign + outcome.duplicates == 3
    assert (FOREIGN in told) == (outcome.foreign == 1)


@pytest.mark.parametrize("value", [None, b"", b"null", b"{}", b"\xff", b'"' * 10])
def test_what_is_no_json_says_why(value):
    with pytest.raises(ForeignError, match=r"."):
        read_change(value)
    found = read(Incoming(2, 7, value))
    assert found.change is None
    assert found.why


def test_the_body_is_canonical_and_without_the_place_in_the_log():
    made = change(3, source={"partition": 1, "offset": 9})
    found = read(Incoming(0, 0, made.model_dump_json().encode()))
    assert found.change == made
    assert found.body.encode() == canonical_bytes(made.to_json(source=False))
    assert "offset" not in found.body
