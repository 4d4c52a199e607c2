"""The desk's REST API for supervisors' tools, described by OpenAPI.

Lives here: routes, their models, the live stream, problems.
May not: hold a rule of its own; what it answers comes from alarms and store.
"""
