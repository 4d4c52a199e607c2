"""Figures that need all facilities at once (ADR 0078).

Lives here: what the fold keeps of a facility for them, periods, the sums over all facilities, and what they are held against.
May not: make a change, or ask for packs or the clock to decide what is kept.
"""
