"""The SQL store: what people decide and what they look at, on SQLite (one machine) or PostgreSQL.

Lives here: tables, the sessions, the migrations, the outbox.
May not: judge anything, or hold a fact about a facility that the log does not get by the outbox.
"""
