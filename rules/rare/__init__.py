"""The part of the fold that is plain Python (ADR 0033).

Lives here: what is kept of events, decisions and checks of the register, and the kinds that look at them.
May not: look at rows of series (`rules.kinds`), nor settle the order of things (`rules.engine`).
"""
