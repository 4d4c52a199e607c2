"""Rules over what submitted reports say (kinds `document` and `balance`; ADR 0059).

Lives here: the conditions that rules ask, the reports that are kept for them, and the verdicts.
May not: say what a report may hold (`rules.reports`), know when one is due (`rules.clocks`), or look at rows (`rules.kinds`).
"""
