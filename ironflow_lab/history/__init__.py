"""Pure rules over what the server recorded, shared by every view of it."""
