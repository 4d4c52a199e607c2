"""Who may sign in at the desk.

Lives here: local accounts, passwords (argon2id), sessions, the brake on guessing.
May not: decide what a role may do; the desk asks and decides.
"""
