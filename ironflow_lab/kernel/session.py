"""Whether this process is a notebook's kernel, and which notebook's."""

from __future__ import annotations

import os
import sys
from typing import Any


def shell() -> Any | None:
    """Return the running kernel's shell, or None outside one (plain IPython included)."""
    module = sys.modules.get("IPython")
    found = module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
    return found if found is not None and hasattr(found, "kernel") else None


def in_kernel() -> bool:
    """Return whether this process is a notebook's kernel."""
    return shell() is not None


def notebook_name() -> str | None:
    """Return the notebook's path, "" in a kernel that does not know it, None outside a kernel.

    Jupyter Server tells its kernels by JPY_SESSION_NAME, VS Code by a variable of the notebook.
    """
    running = shell()
    if running is None:
        return None
    named = os.environ.get("JPY_SESSION_NAME") or running.user_ns.get("__vsc_ipynb_file__")
    return named if isinstance(named, str) else ""
