"""The archive: the log's and the alarms' records in immutable, hashed files, indexed in SQL; years stay readable.

Lives here: the form of a file, the archiver that writes them, the reader for dumps and charts, the check of it all.
May not: change or drop a record, trust a file that the index does not name, or hand out records of a file whose hash differs.
"""
