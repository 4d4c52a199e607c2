"""What stands twice in one batch came twice; what comes again in another batch came once."""

from __future__ import annotations

from rules.engine import Engine
from rules.rare.match import copies_of, digest_of
from rules.records import Event
from tests.rules.byhand import BUNDLE, HandLog, ms


def event(quantity: int = 1, *, at: float = 10, source: str = "WMS", word: str = "arrived") -> Event:
    fields = {"lot": "L-1", "quantity": quantity, "from": "M-0001", "to": "TEST-0001"}
    return Event.model_validate({"stream": "trace", "type": word, "time": ms(at), "source": source, "fields": fields})


def test_equal_events_of_a_batch_are_numbered_and_others_are_first() -> None:
    one, other = event(), event(2)
    assert copies_of([one, other, one, event(at=11), one, other, event(source="X"), event(word="sold")]) == [
        1, 1, 2, 1, 3, 2, 1, 1,
    ]  # fmt: skip
    assert copies_of([]) == []


def test_each_copy_has_a_digest_of_its_own_of_the_same_form() -> None:
    found = {digest_of(event(), copy) for copy in range(1, 50)}
    assert len(found) == 49
    assert all(len(digest) == 16 for digest in found)
    assert digest_of(event()) == digest_of(event(), 1) in found


def test_the_facts_of_lots_tell_copies_apart_and_know_a_second_batch_of_them() -> None:
    hand = HandLog().register(0)
    body = event().model_dump(mode="json", exclude_none=True) | {"time": ms(10)}
    for batch in ("a", "b"):
        hand.line(11, "events", {"batch": batch, "events": [body, body]})
    engine = Engine(BUNDLE, keep_facts=True)
    for record in hand.records():
        engine.fold(record)
    first, second, *again = (fact.event for fact in engine.take_facts(0))
    assert first != second
    assert again == [first, second]
