"""SQLite behind the engine: named statements, one writer thread, readers that cannot write."""
