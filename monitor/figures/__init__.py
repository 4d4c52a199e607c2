"""Figures over all facilities, as people and Prometheus see them (ADR 0078).

Lives here: the rows that the desk keeps of snapshots, how figures are shown, gauges.
May not: fold, or count what `rules.figures` would not.
"""
