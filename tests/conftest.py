"""Settings every test shares."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# No test is judged by a clock: the machine may be busy.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background with the stop button disconnected.
    signal.signal(signal.SIGINT, signal.default_int_handler)
