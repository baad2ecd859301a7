"""The embedded server: protocol -> engine (pure) <- store (SQLite), composed in `app`."""
