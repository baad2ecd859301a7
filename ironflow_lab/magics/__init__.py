"""The magics of a notebook: `%ironflow` and `%%durable`; each says which function does the same."""

from ironflow_lab.magics.extension import load, unload

__all__ = ["load", "unload"]
