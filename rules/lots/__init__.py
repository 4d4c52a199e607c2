"""The second fold: rules over lots, which cross facilities (ADR 0072).

The first fold tells facts of lots (`telling`), keyed by lot they make a log of their own (`offsite.lots.v1`), and `fold` folds that.
What it says of a lot is a function of the set of the lot's facts and the packs, whatever order the facts came in.
"""
