"""Rule packs as people publish them: who did, where the records stand, and the bundles by their hash.

Lives here: the store's journal of publications, and how a difference is shown to people.
May not: decide what is in force; that is the log's, and `streams.packs` reads it there.
"""
