"""What is looked up of cases is what a search through all of them finds, whatever becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from rules.layout import NEVER
from rules.rare import waiting
from rules.rare.store import Case, Cases, Fact, Heard, Rare

if TYPE_CHECKING:
    import pytest

SUBJECTS = ["a", "b", "c", "d"]
DUES = st.sampled_from([1, 2, 3, 3, 5, NEVER])


def fact(text: str) -> Fact:
    return Fact(0, 0, "", "", text)


def plain_due(cases: Cases) -> int:
    return min((case.due for case in cases.values()), default=NEVER)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "due", "pop", "touch", "keep", "ask"]),
            st.sampled_from(SUBJECTS),
            DUES,
            st.sampled_from(["x", "y", "z"]),
        )
    )
)
def test_a_book_of_cases_knows_what_is_due_and_who_keeps_what(steps: list[tuple[str, str, int, str]]) -> None:
    cases = Cases()
    for step, subject, due, text in steps:
        case = cases.get(subject)
        if step == "put" and case is None:
            cases[subject] = Case([fact(text)], due=due)
        elif step == "due" and case is not None:
            case.due = due
        elif step == "pop" and case is not None:
            cases.keep(case, [])
            del cases[subject]
            case.due = due  # nobody waits for one that is gone
        elif step == "touch" and case is not None:
            cases[subject] = cases.pop(subject)
        elif step == "keep" and case is not None:
            cases.keep(case, [*case.facts, fact(text)] if due % 2 else [fact(text)])
        assert cases.waiting.next_due() == plain_due(cases)
        if plain_due(cases) != NEVER:
            wanted = {name for name, one in cases.items() if one.due == plain_due(cases)}
            assert sorted(cases.waiting.due_at(plain_due(cases))) == sorted(wanted)
            assert cases.waiting.next_due() == plain_due(cases)
        if step == "ask":
            kept = [(name, one) for name, one in sorted(cases.items()) if any(f.text == text for f in one.facts)]
            assert cases.with_text(text) == kept


def test_instants_that_are_over_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SPARE", 4)
    cases = Cases()
    cases["a"], cases["b"] = Case(), Case(due=1_000)
    for due in range(2_000, 1_500, -1):
        cases["a"].due = due
    assert len(cases.waiting._heap) <= 2 * 2 + 4 + 1
    assert cases.waiting.next_due() == 1_000
    cases["b"].due = NEVER
    assert cases.waiting.due_at(1_501) == ["a"]


def test_who_begins_to_wait_is_noticed() -> None:
    cases = Cases()
    cases["a"] = Case(due=7)
    assert cases.waiting.soonest == 7
    cases.waiting.soonest = NEVER
    cases["a"].due = 7
    assert cases.waiting.soonest == NEVER, "it waits for that already"
    cases["a"].due = 9
    assert cases.waiting.soonest == 9


def test_a_case_that_goes_out_for_another_keeps_nothing_any_more() -> None:
    rare = Rare()
    case = rare.case("r", "a")
    assert case is not None
    rare.cases["r"].keep(case, [fact("x")])
    assert [subject for subject, _ in rare.cases["r"].with_text("x")] == ["a"]
    assert rare.case("r", "b", most=1) is not None
    assert rare.cases["r"].with_text("x") == []
    assert rare.cases["r"].held == 0


def test_the_next_decision_is_the_earliest_of_all_rules() -> None:
    rare = Rare()
    for rule, due in (("r", 5), ("s", 3), ("t", NEVER)):
        case = rare.case(rule, "a")
        assert case is not None
        case.due = due
    rare.checked["u"] = 4
    rare.refresh()
    assert rare.due == 3
    rare.vacate("s")
    assert rare.due == 4


def test_what_devices_did_is_found_by_rule_and_area() -> None:
    rare = Rare()
    rare.heard("r", "A1").hear(5, 1)
    for key in ("A1 +D1", "A1 -D1", "A10 +D1", "A1 +D 2"):
        rare.heard("r", key).partners.append(1)
    rare.areas["s", "A1 +D9"] = Heard([3])
    assert rare.areas.signs("r", "A1") == ["A1 +D 2", "A1 +D1", "A1 -D1"]
    del rare.areas["r", "A1 +D1"]
    assert rare.areas.signs("r", "A1") == ["A1 +D 2", "A1 -D1"]
    assert rare.areas.signs("r", "A10") == ["A10 +D1"]
    assert rare.areas.signs("q", "A1") == []
    rare.vacate("r")
    assert list(rare.areas) == [("s", "A1 +D9")]
    assert rare.areas.signs("r", "A10") == []
