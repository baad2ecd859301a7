"""Bytes to commands and back: unary Connect in both codecs, the worker's REST dialect and the lab's extra routes."""
