"""What is due: the legal clocks that run, of all facilities.

Lives here: how a clock is shown, the rows that the desk keeps of snapshots, queries over them, who is responsible for whom.
May not: fold, or say of a clock what the fold would not.
"""
