"""Settings every test shares."""

from __future__ import annotations

from hypothesis import settings

# No test is judged by a clock: the machine may be busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
