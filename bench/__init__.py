"""Figures of the product, never timed tests."""
