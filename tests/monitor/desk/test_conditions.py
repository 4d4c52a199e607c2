"""Every condition that the engine writes has Chinese words: found in its source, not in a list of ours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rules
from monitor.console.conditions import condition
from monitor.console.views import leaf
from rules.changes import Leaf, Verdict

SOURCE = sorted(Path(rules.__file__).parent.rglob("*.py"))
BARE = {"X", "X X", "XX: X", "X: X = X", "X of X"}
"""The name of a sensor, a condition on a report's own members (code in any language), and words looked up elsewhere."""
SAMPLES = {
    "limit of": "low limit of T1", "time of X X X": "time of T1 above 8 °C within 24h", "numbers missing of X: XX": "numbers missing of main: 7 to 9", "number X": "number 7 of main at 1",
    "booked X of": "booked in of P-40 in NS-1, 3 times", "of the last X": "of the last 20 openings without a change of 0.5 within 10m", "time since the newest of X": "time since the newest of 12 readings of T9",
    "standard deviation": "standard deviation of differences of T1 in seven days over the median of the weeks before",
    "against the XX": "S-1: sold against the stop by M-1", "stated X": "stated max (figures.max_temperature)",
}  # fmt: skip


def sample(node: ast.expr) -> str | None:
    """Return the text of a literal, with X where something is put in; None of what is no literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return None


def conditions() -> list[str]:
    """Return what is written as `expr`: as a member, or into a variable of that name."""
    found = set()
    for path in SOURCE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values = [word.value for word in node.keywords if word.arg == "expr"] if isinstance(node, ast.Call) else []
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "expr" for t in node.targets):
                branches = node.value
                values += [branches.body, branches.orelse] if isinstance(branches, ast.IfExp) else [branches]
            texts = [sample(value) for value in values]
            found |= {text for text in texts if text is not None}
    return sorted(found - BARE)


@pytest.mark.parametrize("words", conditions())
def test_what_the_engine_writes_is_read_in_chinese(words):
    words = next((given for begins, given in SAMPLES.items() if begins in words), words)
    shown = leaf(Leaf(expr=words, left=1, op=">", right=2, verdict=Verdict.TRUE), "zh")["expr"]
    assert shown != words
    assert any("\u4e00" <= sign <= "\u9fff" for sign in shown), shown


def test_enough_of_them_were_found():
    assert len(conditions()) > 40


@pytest.mark.parametrize(
    ("words", "chinese"),
    [
        (
            "time of T1 at or above 25 °C or at or below 2 °C within 24h",
            "T1 在 24h 内处于 ≥ 25 °C 或 ≤ 2 °C 的累计时间",
        ),
        (
            "HOSP-1: report R-1/2, case C-1 known 2026-03-01T00:00:00.000Z",
            "HOSP-1 报告 R-1/2：病例 C-1，获知于 2026-03-01T00:00:00.000Z",
        ),
        ("M-1: report N/1 names the lot, recall RC told", "M-1 报告 N/1 列有该批号，召回 RC 的告知时间"),
        ("M-1: report N/2 names the lot", "M-1 报告 N/2 列有该批号"),
        ("cases within 7d up to 2026-03-01T00:00:00.000Z", "截至 2026-03-01T00:00:00.000Z 的 7d 内病例数"),
        ("time of BOX.T above 8 °C on a trip", "BOX.T 在运输途中处于 > 8 °C 的累计时间"),
        ("high limit of CR1.T1", "CR1.T1 的上限"),
        ("numbers missing of main: 7 to 9 ...", "main 缺失的序号：7 to 9 ..."),
        ("device power at cold-chain.store-out of T1", "T1 发生 cold-chain.store-out 时的 device power"),
        ("stated duration", "报告所述持续时间"),
        ("stated mean-kinetic (figures.mkt)", "报告所述平均动力学温度（figures.mkt）"),
        ("known share of the time", "所述时段内已知部分的比例"),
        ("difference FILL / CORR", "差值 FILL / CORR"),
        ("T1", "T1"),
        ("config hash of LOGGER-1", "LOGGER-1 的配置校验值"),
    ],
)
def test_names_and_numbers_stay_in_their_places(words, chinese):
    assert condition(words, "zh") == chinese
    assert condition(words, "en") == words


def operators() -> list[str]:
    """Return the words that the engine's source compares by: literals of `op`, in both branches."""
    found = set()
    for path in SOURCE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values = [word.value for word in node.keywords if word.arg == "op"] if isinstance(node, ast.Call) else []
            parts = [part for value in values for part in ast.walk(value) if isinstance(part, ast.Constant)]
            found |= {part.value for part in parts if isinstance(part.value, str) and part.value.isascii()}
    return sorted(word for word in found if any(sign.isalpha() for sign in word))


@pytest.mark.parametrize("op", operators())
def test_what_the_engine_compares_by_is_read_in_chinese(op):
    assert leaf(Leaf(expr="X", left=1, op=op, right=2, verdict=Verdict.TRUE), "en")["op"] in {op, "∈"}
    shown = leaf(Leaf(expr="X", left=1, op=op, right=2, verdict=Verdict.TRUE), "zh")["op"]
    assert shown == "∈" or any("\u4e00" <= sign <= "\u9fff" for sign in shown), shown


def test_operators_were_found():
    assert {"within", "beyond", "for longer than", "is due"} <= set(operators())


@pytest.mark.parametrize(
    ("left", "right", "chinese"),
    [
        ("closed", "2026-03-01T00:00:00.000Z", ("已关闭", "2026-03-01T00:00:00.000Z", False)),
        (None, "registered", (None, "已登记", False)),
        ("a, b and 3 more", 2.0, ("a, b 等另 3 项", 2.0, False)),
        (30.0, "24h", (30.0, "24h", True)),
        (3.0, "2 x interval", (3.0, "2 × 应记录间隔", True)),
    ],
)
def test_the_engines_own_words_on_either_side_are_read_in_chinese_and_the_unit_stands_behind_the_number(
    left, right, chinese
):
    found = Leaf(expr="X", left=left, op=">", right=right, unit="h", verdict=Verdict.TRUE)
    shown = leaf(found, "zh")
    english = leaf(found, "en")
    assert (shown["left"], shown["behind_left"]) == (chinese[0], chinese[2])
    assert "interval" in str(right) or shown["right"] == chinese[1]
    assert english["left"] == left


def test_every_check_of_the_register_that_events_may_tell_has_words():
    from rules.rare.points import WORDS

    for word in WORDS.values():
        assert condition(f"{word.replace('_', ' ')} of D1", "zh") != f"{word.replace('_', ' ')} of D1"
