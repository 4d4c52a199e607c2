"""Tell people outside the console of open alarms.

Lives here: channels, and the difference between what a channel was told and what is so.
May not: decide what asks for attention, or forget a clear because an alarm was covered meanwhile.
"""
