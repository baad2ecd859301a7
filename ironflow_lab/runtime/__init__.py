"""Durable functions in this process: what they are, how one segment runs, and the worker that serves them."""
