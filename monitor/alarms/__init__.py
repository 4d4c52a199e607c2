"""Alarms as people see them: condition from the changes, attention from people, overlay.

Lives here: the projection of changes into rows, acknowledgements, queries, operators' alarms.
May not: decide whether a condition holds; that is in the changes alone.
"""
