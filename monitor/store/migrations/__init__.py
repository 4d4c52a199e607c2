"""Alembic's migrations.

Lives here: one script per step of the tables.
May not: import the tables as they are today; a migration says what it does in its own words.
"""
