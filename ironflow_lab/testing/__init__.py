"""For tests, yours and ours: functions run in memory with time that is skipped, crashes, contexts, a real server.

    from ironflow_lab import testing

    def test_orders_are_charged():
        done = testing.run_function(process_order, {"id": 7})
        assert done.result == {"charged": 99}
        assert done.step("charge").ran == 1

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ironflow_lab.testing.contexts import Recorded, context
    from ironflow_lab.testing.crashing import crash_everywhere
    from ironflow_lab.testing.crashreport import Crash, CrashReport
    from ironflow_lab.testing.fakes import CountingIds, FakeClock
    from ironflow_lab.testing.fixtures import capsule
    from ironflow_lab.testing.result import Result, Sent, StepRun
    from ironflow_lab.testing.running import arun_function, run_function
    from ironflow_lab.testing.server import LocalServer
    from ironflow_lab.testing.world import Waiting

__all__ = [
    "CountingIds",
    "Crash",
    "CrashReport",
    "FakeClock",
    "LocalServer",
    "Recorded",
    "Result",
    "Sent",
    "StepRun",
    "Waiting",
    "arun_function",
    "capsule",
    "context",
    "crash_everywhere",
    "run_function",
]

_HOMES = {
    "CountingIds": "fakes",
    "Crash": "crashreport",
    "CrashReport": "crashreport",
    "FakeClock": "fakes",
    "LocalServer": "server",
    "Recorded": "contexts",
    "Result": "result",
    "Sent": "result",
    "StepRun": "result",
    "Waiting": "world",
    "arun_function": "running",
    "capsule": "fixtures",
    "context": "contexts",
    "crash_everywhere": "crashing",
    "run_function": "running",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ironflow_lab.testing' has no attribute {name!r}")
    value = getattr(import_module(f"ironflow_lab.testing.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
