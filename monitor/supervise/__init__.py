"""Run several processes of the product as one: start, start again, stop.

Lives here: child processes, back-off, crash-loop detection, the stop within a bound.
May not: know what a process does; it knows a command, a log file and a URL that says when it is ready.
"""
