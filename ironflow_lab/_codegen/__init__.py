"""Writes the code that is generated and committed; not in the wheel."""
