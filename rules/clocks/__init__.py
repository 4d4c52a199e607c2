"""Legal clocks (kind `deadline`) in the fold (ADR 0057).

Lives here: which reports are due when, who started them, what answered.
May not: say what a report holds (`rules.reports`), count working days (`rules.calendar`), look at events (`rules.rare`).
"""
