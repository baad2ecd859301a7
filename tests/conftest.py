"""Settings every test shares."""

from __future__ import annotations

import re
import signal

import pytest
from hypothesis import HealthCheck, settings

# No test is judged by a clock: the machine may be busy. Other examples come each time, and in `make soak` many more.
settings.register_profile("untimed", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("untimed"), max_examples=1_000)
settings.load_profile("untimed")

TOLD = "told"


def steady(value: object) -> str:
    """Return a name for a parameter that is the same in every process: an object's address is not."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background with the stop button disconnected.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have recorded as `told`: they may have run in processes whose output nobody sees."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == TOLD:
                terminalreporter.write_line(str(text))
