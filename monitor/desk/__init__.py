"""The desk process: changes in, people served.

Lives here: the threads (changes, outbox, notifications), the app that joins API and console, what every answer carries.
May not: judge a condition, or keep anything that log, changes and store could not rebuild.
"""
