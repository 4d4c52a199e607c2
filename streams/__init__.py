"""Kafka in, Kafka out: topics, codec, worker, checkpoints, archive, the embedded broker.

Lives here: everything that moves records. It takes no decision of its own.
May not: import monitor; decide what an anomaly is.
"""
