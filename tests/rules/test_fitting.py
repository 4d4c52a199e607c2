"""Changes keep within their bounds, alike in the live worker and offline."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rules.changes import Change, ChangeKind, Evidence, Leaf, RecordRead, Verdict
from rules.fitting import CHANGE_BYTES, EVIDENCE_BYTES, RULE_FAILED, change_bytes, fit
from rules.models import Bilingual, Severity

AT = 1_767_225_600_000


def change(**members: Any) -> Change:
    values = {
        "stream": "BJ-COLD-01", "seq": 118, "facility": "BJ-COLD-01", "alarm": "5f" * 16, "rule": "cold-chain.store-out",
        "version": "1.0.0", "packs": "0" * 64, "subject": {"tag": "CR1.T1"}, "change": ChangeKind.RAISED,
        "severity": Severity.ORANGE, "stage": "live", "start": AT, "at": AT, "received": AT,
        "message": Bilingual(en="out", zh="超限"),
    }  # fmt: skip
    return Change.model_validate(values | members)


def reads(count: int, text: str = "batch") -> list[RecordRead]:
    return [RecordRead(kind="readings", id=f"{text}-{i}") for i in range(count)]


def evidence_size(value: Change) -> int:
    return len(json.dumps(value.to_json()["evidence"], ensure_ascii=False, separators=(",", ":")).encode())


@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_change_within_its_bounds_is_left_as_it_is(count: int) -> None:
    value = change(evidence=Evidence(records=reads(count), left_out={"suppresses": 4}))
    assert fit(value) == value


@pytest.mark.parametrize("text", ["batch", "批次", "x" * 120])
def test_evidence_above_its_bound_is_cut_and_says_by_how_much(text: str) -> None:
    value = change(evidence=Evidence(records=reads(4_000, text), marks=["M-1"], left_out={"records": 7}))
    small = fit(value)
    assert evidence_size(small) <= EVIDENCE_BYTES
    assert small.evidence.left_out == {"records": 7 + 4_000 - len(small.evidence.records)}
    assert small.evidence.records == value.evidence.records[: len(small.evidence.records)]
    assert small.evidence.marks == ["M-1"], "what fits stays"
    assert evidence_size(small) > EVIDENCE_BYTES - 400, "no more is cut than needed"
    assert fit(small) == small


def test_lists_are_cut_one_after_another_until_it_fits() -> None:
    leaf = Leaf(expr="T1", left="y" * 3_000, op=">", right=8.0, verdict=Verdict.TRUE)
    value = change(evidence=Evidence(records=reads(2_000), marks=["m" * 100] * 900, leaves=[leaf] * 40))
    small = fit(value).evidence
    assert (len(small.records), len(small.marks)) == (0, 0)
    assert 0 < len(small.leaves) < 40
    assert small.left_out == {"records": 2_000, "marks": 900, "leaves": 40 - len(small.leaves)}


def test_one_that_is_still_too_large_becomes_a_small_operators_change_with_the_same_seq() -> None:
    value = change(subject={"tag": "T" * (CHANGE_BYTES + 1)}, evidence=Evidence(records=reads(10)))
    small = fit(value)
    assert (small.stream, small.seq, small.alarm) == (value.stream, value.seq, value.alarm)
    assert small.rule == RULE_FAILED
    assert "cold-chain.store-out" in small.message.en
    assert "cold-chain.store-out" in small.message.zh
    assert len(change_bytes(small)) < 4_096


def test_the_same_change_gives_the_same_bytes() -> None:
    one, other = change(subject={"tag": "a", "area": "b"}), change(subject={"area": "b", "tag": "a"})
    assert change_bytes(one) == change_bytes(other)
    assert json.loads(change_bytes(one)) == one.to_json()
