"""Hatchling's hook: wheels and source archives carry the built front end.

Node is asked for only where something has to be built: not by a source archive that carries it.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

front_end = runpy.run_path(str(Path(__file__).with_name("build.py")))


class FrontEnd(BuildHookInterface):
    """Builds the front end before it is packed."""

    def dependencies(self) -> list[str]:
        """Return what the build needs."""
        return [] if front_end["is_current"]() else front_end["REQUIREMENTS"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is stale."""
        if not front_end["is_current"]():
            front_end["build"]()
