"""Logs and what `offsite evaluate` makes of them, byte for byte: time as it is meant (issue: late data, gaps, clocks, month ends).

Lives here: one log and one file of changes a scenario, the rules they are folded with (frozen copies: shipped rules may change),
and what wrote the logs. A change of these bytes is a change of the engine's semantics.
"""
