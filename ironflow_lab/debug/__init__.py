"""Executing recorded runs again in this process: replay, check, fork, breakpoints."""
