"""Settings every test shares."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test is judged by a clock: the machine may be busy.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
