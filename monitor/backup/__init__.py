"""Backup and restore: what cannot be computed again, copied consistently, checked by hashes, and put back.

Lives here: the manifest, the copy of the store, the copy of the archive and of Kafka's topics, their check and their restore.
May not: count for a backup before everything in it is written and synced, overwrite anything unless told, or show a secret.
"""
