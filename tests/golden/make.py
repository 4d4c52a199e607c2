"""Write the golden files anew: `python -m tests.golden.make`. What changes in them is to be read line by line before it is committed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rules.canonical import canonical_bytes
from rules.evaluate import evaluate
from rules.pack import load_bundle
from streams.jsonlines import read_lines
from tests.golden.scenarios import ALL
from tests.rules.byhand import ms

if TYPE_CHECKING:
    from rules.changes import Change
    from tests.golden.scenarios import Scenario

HERE = Path(__file__).parent
PACK = HERE / "pack"


def log_of(scenario: Scenario) -> bytes:
    """Return the log of a scenario as its file holds it."""
    return "".join(f"{line}\n" for line in scenario.log.lines).encode()


def changes_of(scenario: Scenario) -> list[Change]:
    """Return what the engine makes of a scenario."""
    return evaluate(read_lines(scenario.log.lines), load_bundle([PACK]), until_ms=ms(scenario.until))


def output_of(changes: list[Change]) -> bytes:
    """Return changes as `offsite evaluate` prints them."""
    return b"".join(canonical_bytes(change.to_json(source=False)) + b"\n" for change in changes)


def main() -> None:
    """Write both files of every scenario."""
    for make in ALL:
        scenario = make()
        (HERE / f"{scenario.name}.log.jsonl").write_bytes(log_of(scenario))
        (HERE / f"{scenario.name}.changes.jsonl").write_bytes(output_of(changes_of(scenario)))


if __name__ == "__main__":
    main()
