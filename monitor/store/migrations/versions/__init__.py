"""The steps, oldest first.

Lives here: one file per revision.
May not: be changed once released.
"""
