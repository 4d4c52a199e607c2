"""Posted events (catalogue part 2, §12): the fields of each type as models, and how a posted batch is read.

Lives here: the type of every event of every stream.
May not: be asked by the fold, which reads events of the log as they are, whatever door these came through.
"""
