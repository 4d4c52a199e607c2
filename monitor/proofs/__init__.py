"""Proofs that firms upload: files by content hash, one folder per facility, each with a receipt beside it.

Lives here: what content is taken, the folder, its bounds, and how a file is served.
May not: open a file for anything but its type and its hash, or serve one as anything but a download.
"""
