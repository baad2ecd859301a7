"""What a notebook holds: a lab joined to a server, its runs, and what was emitted through it."""
