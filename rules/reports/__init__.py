"""Submitted reports (catalogue part 2, §11): their fields as models, and how a posted one is read."""
