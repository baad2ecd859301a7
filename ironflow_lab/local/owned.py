"""`python -m ironflow_lab.local.owned PID MODULE ...`: runs a module that ends with another process."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from ironflow_lab.local import watch


def main(arguments: Sequence[str]) -> None:
    """Run the module with its arguments; it gets SIGTERM once the process with the number is gone."""
    owner, module = arguments[0], arguments[1]
    watch.start({f"its owner, process {owner}, has ended": watch.Owner(int(owner)).is_gone}, _say)
    sys.argv = list(arguments[1:])
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _say(reason: str) -> None:
    sys.stderr.write(f"ending, since {reason}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
