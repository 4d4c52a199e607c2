"""Break everything while a known set of readings is fed; at the end log, alarms and archive must agree to the byte.

Lives here: the plan of acts, the firms, the runner that starts processes again, the judgement. `python -m tests.chaos`.
May not: give a process a short cut; what runs are the commands of an installation.
"""
