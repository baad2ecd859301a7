"""Print every procedure of the official SDK's descriptors, one `Service/Method` a line."""

from __future__ import annotations

import importlib
import pkgutil

import ironflow._gen as generated


def main() -> None:
    """Walk the descriptors; the public namespace lists messages only."""
    for module in pkgutil.iter_modules(generated.__path__):
        if module.name.endswith("_pb"):
            described = importlib.import_module(f"{generated.__name__}.{module.name}").desc()
            for service in described.services:
                for method in service.methods:
                    print(f"{service.type_name.rpartition('.')[2]}/{method.name}")


if __name__ == "__main__":
    main()
