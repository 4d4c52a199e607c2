"""Rule files that somebody wants to publish: whole, sound, their own tests passed, small enough for the log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rules.errors import BadInputError, OffsiteError
from rules.lint import lint
from rules.pack import SHIPPED, load_bundle
from rules.ruletest import run_tests
from streams.packs import checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.pack import Bundle
    from rules.records import PacksRecord
    from rules.ruletest import Outcome


class FailingTestsError(OffsiteError):
    """Tests inside the rule files fail."""

    code: ClassVar[str] = "tests_fail"
    exit_code: ClassVar[int] = 1
    action: ClassVar[str] = (
        "Correct the rules or their tests (`offsite rules test`) and run it again; nothing was applied."
    )

    def __init__(self, failed: Sequence[Outcome], count: int) -> None:
        """Name every test that fails, and what differs."""
        lines = [f"{len(failed)} of {count} tests fail"]
        for outcome in failed:
            lines += [f"  {outcome.rule}: {outcome.test}", *(f"    {difference}" for difference in outcome.differences)]
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bundle that may be published, and the record that it would be."""

    bundle: Bundle
    record: PacksRecord
    tests: int
    """How many tests of its files passed."""


def read_candidate(folders: Sequence[str]) -> Candidate:
    """Read rule files, a later folder over an earlier one; `default` names the shipped packs.

    Raises:
        BadInputError: with every fault of every file, or because the bundle is too large.
        FailingTestsError: with every test that fails.
    """
    faults = lint([SHIPPED if folder == "default" else Path(folder) for folder in folders])
    if faults:
        raise BadInputError("rule packs", faults)
    bundle = load_bundle(folders)
    outcomes = run_tests(bundle)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed:
        raise FailingTestsError(failed, len(outcomes))
    return Candidate(bundle, checked(bundle), len(outcomes))
