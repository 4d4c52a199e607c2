"""The demo: every process of the product on one machine, with an embedded Kafka and simulated facilities.

Lives here: the stage (child processes, folders, ports), the story's people, the check of the story.
May not: give any part a short cut; what it starts are the commands that an installation starts.
"""
