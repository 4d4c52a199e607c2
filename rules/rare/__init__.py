"""The part of the fold that is plain Python: events, decisions, checks of the register, rows that are refused (ADR 0033)."""
