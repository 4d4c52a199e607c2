"""The second fold: rules over lots, which cross facilities (ADR 0072). Its verdicts are functions of the set of a lot's facts and the packs.

Lives here: facts of lots and how the first fold tells them, the books of a lot, what its rules find, the fold and its snapshots.
May not: Kafka, which topic a fact stands in; books of a facility (rules/rare, rules/documents).
"""
