"""Bytes to records and back, and the rules both ends share; no sockets, no files, no clock."""
