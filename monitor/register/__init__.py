"""The register as people keep it: files, import with all faults at once, versions in the store.

Lives here: reading register files, and (with the store) import, export and diff.
May not: hold contacts in anything that goes to the log.
"""
