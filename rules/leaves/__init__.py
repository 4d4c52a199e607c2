"""Why a rule spoke or did not: the leaves of its condition, plainly evaluated, for `offsite rules coverage` and `explain`.

Lives here: one file per kind that says for each row and each decision of the clock which leaf is true, false or unknown.
May not: decide alarms (the engine does), nor be imported by what runs live.
"""
