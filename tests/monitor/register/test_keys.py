"""Feed keys: rights, rotation, revocation, and what gateways are told."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from monitor.register.keys import ENDPOINTS, every, issue, revoke
from monitor.register.store import import_register
from monitor.store.tables import FeedKey, OutboxRow
from rules.errors import BadInputError
from streams.access import KeyEntry, hash_key
from streams.topics import ACCESS
from tests.monitor.register.samples import facility, register


@pytest.fixture
def registered(store):
    with store.writing() as session:
        import_register(session, register(facility("A1"), facility("B2")), "u-1", 1_000)
    return store


def make(store, name="feed", now=2_000, **more):
    with store.writing() as session:
        return issue(session, name=name, actor="u-1", now_ms=now, **({"facilities": ["A1"]} | more))


def entries(store):
    with store.reading() as session:
        rows = session.scalars(select(OutboxRow).where(OutboxRow.topic == ACCESS).order_by(OutboxRow.id))
        return [(row.key, row.value) for row in rows if not row.key.startswith("f:")]


def test_a_key_is_shown_once_and_only_its_hash_is_kept(registered):
    made = make(registered, tags=["CR1.T1"], expires_ms=9_000, endpoints=["readings"])
    ((name, value),) = entries(registered)
    assert name == hash_key(made.key)
    entry = KeyEntry.model_validate_json(value)
    assert (entry.name, entry.facilities, entry.endpoints, entry.tags) == ("feed", ["A1"], ["readings"], ["CR1.T1"])
    assert made.key.encode() not in value
    with registered.reading() as session:
        row = session.scalars(select(FeedKey)).one()
        assert made.key not in str(row.__dict__)


def test_without_endpoints_a_key_may_use_all(registered):
    make(registered)
    assert KeyEntry.model_validate_json(entries(registered)[0][1]).endpoints == list(ENDPOINTS)


def test_two_live_keys_allow_rotation_a_third_is_refused(registered):
    first = make(registered)
    make(registered)
    with pytest.raises(BadInputError) as caught:
        make(registered)
    assert [fault.code for fault in caught.value.faults] == ["too_many_keys"]
    with registered.writing() as session:
        assert revoke(session, first.id, 3_000)
    make(registered)


def test_an_expired_key_makes_room(registered):
    make(registered, expires_ms=2_500)
    make(registered)
    make(registered, now=2_600)
    with registered.reading() as session:
        assert len(every(session)) == 3


def test_a_revocation_is_a_tombstone_after_the_entry(registered):
    made = make(registered)
    with registered.writing() as session:
        assert revoke(session, made.id, 3_000)
    with registered.writing() as session:
        assert not revoke(session, made.id, 4_000)
    assert [(name, value is None) for name, value in entries(registered)] == [
        (hash_key(made.key), False),
        (hash_key(made.key), True),
    ]


def test_all_faults_of_a_key_are_told_at_once(registered):
    with pytest.raises(BadInputError) as caught:
        make(registered, facilities=["A1", "NOBODY", "NOWHERE"], expires_ms=1)
    assert sorted(fault.code for fault in caught.value.faults) == [
        "in_the_past",
        "unknown_facility",
        "unknown_facility",
    ]
    with pytest.raises(BadInputError):
        make(registered, facilities=[])
    with pytest.raises(BadInputError):
        make(registered, endpoints=["everything"])
    assert entries(registered) == []


def test_an_unknown_key_cannot_be_revoked(registered):
    with registered.writing() as session, pytest.raises(BadInputError, match="key"):
        revoke(session, "nope", 1)
