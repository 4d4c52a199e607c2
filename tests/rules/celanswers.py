"""Ask the CEL of another house what conditions are worth, and write its answers down (`celanswers.jsonl`), one a line.

`python -m tests.rules.celanswers > tests/rules/celanswers.jsonl`, in an environment of its own with `common-expression-language` 0.10.0
(module `cel`; ADR 0059 says why the product and its tests do without). To be made anew when the language gains something.

Left out is what has a part that is not finite, or that CEL cannot reckon: there we part from it on purpose.
"""

from __future__ import annotations

import json
import math
import sys

import cel
from hypothesis import HealthCheck, Phase, given, seed, settings

from rules.documents.syntax import parse
from tests.rules.conditions import CONDITIONS, KNOWN, SUMS

EACH = 150
"""Answers of conditions, and as many of sums."""
BY_HAND = [
    "true || report.gone == 1.0", "report.gone == 1.0 || true", "false && report.gone == 1.0", "report.gone == 1.0 && false",
    "1.0 < 2.0 == true", "!true == false", "-1.0 - -1.0 == 0.0", "8.0 / 2.0 * 2.0 == 8.0", "2.0 - 1.0 - 1.0 == 0.0",
    "true || true && false", "false && true || true", "1.0 + 2.0 * 3.0 == 7.0", "!false && 1.0 < 2.0", "!!true", "'a' in ['b', 'a'] == true",
]  # fmt: skip


def answer(text, known):
    """Return what CEL says, None where it has an error."""
    try:
        return cel.evaluate(text, known)
    except (KeyError, TypeError, RuntimeError, ValueError):
        return None


def is_finite(text, known):
    """Say whether each sum in it is a finite number to CEL, or of something that is not there."""
    found = []

    def look(node):
        if node.kind in {"+", "-", "*", "/", "minus"}:
            found.append(answer(text[node.at : node.end], known))
        for part in node.parts:
            look(part)

    look(parse(text))
    return all(value is None or math.isfinite(value) for value in found)


def answers(strategy, number):
    """Yield conditions, what they are asked of and CEL's answers, always the same ones."""
    found = {}

    @seed(59)
    @settings(
        max_examples=20 * number, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy, KNOWN)
    def draw(text, known):
        if len(text) > 12 and is_finite(text, known):
            found[text] = known

    draw()
    wanted = [(text, known, answer(text, known)) for text, known in found.items()]
    told = [one for one in wanted if one[2] is not None]
    unknown = [one for one in wanted if one[2] is None]
    yield from told[-2 * number // 3 :]
    yield from unknown[-number // 3 :]


def main():
    """Write all answers to stdout."""
    lines = [(text, {"report": {}, "entry": {}}, answer(text, {"report": {}, "entry": {}})) for text in BY_HAND]
    for text, known, found in [*lines, *answers(CONDITIONS, EACH), *answers(SUMS, EACH)]:
        sys.stdout.write(json.dumps([text, known, found], ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
