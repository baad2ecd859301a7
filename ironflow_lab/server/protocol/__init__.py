"""Bytes to commands and back: Connect JSON, the worker's REST dialect and the lab's extra routes."""
