"""What figures are held against: numbers of plans for everybody together, so no rules over one facility. Each with its citation."""

from __future__ import annotations

from typing import Final

from rules.models import Severity, Strict
from rules.rule import Citation, EffectiveSpan


class Target(Strict):
    """A share that is to be reached."""

    name: str
    percent: int
    """Reached at so much or more."""
    severity: Severity
    """The colour of a figure below it."""
    month_day: tuple[int, int] | None = None
    """The day behind which a share of the year is judged, at 24:00 local; None: at any time."""
    cites: tuple[Citation, ...]

    def missed(self, part: int, whole: int) -> bool | None:
        """Say whether so many of so many are too few, exactly; None where there are none."""
        return None if whole == 0 else part * 100 < self.percent * whole


_PLAN: Final = Citation(
    instrument="Beijing plan of drug supervision 2025 (北京市药品监管计划)", edition="2025",
    effective=EffectiveSpan.model_validate({"from": "2025-01-01"}), status="cited", of="70 % of grade B in the year",
)  # fmt: skip
_JUDGED: Final = Citation(
    instrument="Full on-site visits by event time; the grade that was registered at the day judged (own)",
    status="own", of="what counts as visited",
)  # fmt: skip
SAMPLING: Final = Target(
    name="sampling", percent=99, severity=Severity.YELLOW,
    cites=(
        Citation(
            instrument="Half-year meeting of the Beijing Medical Products Administration (北京市药监局半年工作会)",
            edition="2024", status="verify", of="pass rate of 99 %",
        ),
        Citation(
            instrument="Rate by the day of drawing, per line; a re-test stands for its sample; colour (own)",
            status="own", of="what is counted",
        ),
    ),
)  # fmt: skip
"""At least 99 % of samples pass. The target is told by a report of a meeting: its text is to be verified."""
B_SHARE: Final = (
    Target(
        name="b-share-step", percent=50, severity=Severity.BLUE, month_day=(9, 30),
        cites=(Citation(instrument="50 % at 30 September, colour (own)", status="own", of="the step"), _JUDGED),
    ),
    Target(name="b-share", percent=70, severity=Severity.YELLOW, month_day=(12, 31), cites=(_PLAN, _JUDGED)),
)  # fmt: skip
"""Grade B trial institutions visited in the calendar year."""
B_FIELD: Final = ("clinical-trials", "drug")
B_GRADE: Final = "B"
