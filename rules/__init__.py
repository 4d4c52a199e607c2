"""What is an anomaly? The pure engine: records in, changes of condition out.

Lives here: the log's records, the register, rule files, the fold and its kinds.
May not: Kafka, HTTP, SQL, clocks, random numbers, files other than packs.
"""
