"""Jupyter Server handlers for the JupyterLab extension: an allow-list of reads, and one start.

The browser talks to the Jupyter server only; the engine's key stays in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "ironflow_lab.jupyter"}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "ironflow-lab"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    # Imported here: jupyter_server is an optional dependency, and `pip` asks for the points without it.
    from ironflow_lab.jupyter.handlers import install

    install(app)
