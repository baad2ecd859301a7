"""Runs out of files, for tests: a capsule as a fixture."""

from __future__ import annotations

import os
from pathlib import Path

from ironflow_lab.errors import CapsuleError
from ironflow_lab.lab.capsules import open_capsule
from ironflow_lab.lab.run import Run


def capsule(path: str | os.PathLike[str], *, near: str | os.PathLike[str] | None = None) -> Run:
    """Return the run of a capsule that lies beside the tests, as `ironflow_lab.open` does; no server is needed.

    `near` is the file that names it, `__file__` of the test: a relative `path` is looked for in its folder.
    What is read from the run is always the same, its clock included. A test of what changed code makes of
    a run that failed in production:

        from ironflow_lab import testing
        from orders import settle

        def test_the_declined_card_is_no_longer_an_error():
            run = testing.capsule("declined.ironflow", near=__file__)
            assert run.replay(fn=settle).status == "completed"

    Save the file with `run.save("declined.ironflow")`; it is redacted, and a replay that would hand the code
    a hidden value says so. Raises `CapsuleError` for a file that is missing, damaged or too new.
    """
    source = Path(path).expanduser()
    if near is not None and not source.is_absolute():
        source = Path(near).resolve().parent / source
    try:
        return open_capsule(source)
    except FileNotFoundError:
        raise CapsuleError(
            f"there is no capsule {str(source)!a}; a relative path is looked for in the working directory, or"
            ' beside the test with near=__file__. Save one with run.save("name.ironflow")'
        ) from None
