"""Submitted reports (catalogue part 2, §11): their fields as models, and how a posted one is read.

Lives here: the type of every report, what fields are made of (of events too), and every fault of what is posted.
May not: judge a report, run a clock, or decide between revisions: that is the fold's.
"""
