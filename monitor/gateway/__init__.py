"""The front door of facilities: authenticate, validate, append, answer with a receipt after the broker's ack.

Lives here: the HTTP application, its limits and refusals, ticks while the door is open, what a firm is told of its own feed.
May not: judge a value; that is the fold's work. Nothing answered 202 may be lost, nothing else may be claimed stored.
"""
