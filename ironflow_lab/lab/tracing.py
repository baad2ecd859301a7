"""A run as a trace for outside viewers."""

from __future__ import annotations

import os
from pathlib import Path

from ironflow_lab.history import perfetto
from ironflow_lab.lab import capsules
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.recordings import read
from ironflow_lab.lab.session import Session


def to_perfetto(session: Session, past: Past, path: str | os.PathLike[str] | None) -> str | Path:
    """Return the run's trace as JSON text, or the path it was written to; see `Run.to_perfetto`."""
    found = read(session, past)
    text = perfetto.trace(found, capsules.children(session, found), now=session.clock.now())
    if path is None:
        return text
    target = Path(path).expanduser()
    capsules.write(target, text.encode())
    return target
