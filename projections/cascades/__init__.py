"""Cascades: which are on their way, and the result of each record."""
