"""Submitted reports (catalogue part 2, §11).

Lives here: their fields as models, and how a posted one is read.
May not: decide anything of them (`rules.clocks`), or know how they came (`monitor.gateway`).
"""
