"""How a worker is set up: what may be said, checked at once, and the rules that follow from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from ironflow_lab.errors import DefinitionError
from ironflow_lab.runtime.pace import Delays, Rules
from ironflow_lab.wire.duration import Duration, seconds

CONCURRENCY, MOST_CONCURRENCY = 10, 1000
# A lease is 90 s long: one beat may be lost.
SHORTEST_BEAT, LONGEST_BEAT = 1.0, 45.0
SHORTEST_DELAY, LONGEST_DELAY = 0.05, 3600.0
MOST_LABELS, LONGEST_LABEL = 64, 256

log = logging.getLogger("ironflow_lab.runtime")
Logger = logging.Logger | logging.LoggerAdapter[Any]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker was told; None leaves the rules of the server's place as they are.

    `labels` are shown with the worker on the server; `heartbeat` is the seconds between two heartbeats,
    `reconnect_delay` those before the first try after a failure (it grows), `logger` gets the worker's
    own messages.
    """

    concurrency: int = CONCURRENCY
    labels: dict[str, str] = {}
    heartbeat: float | None = None
    reconnect_delay: float | None = None
    logger: Logger = log

    def paced(self, rules: Rules) -> Rules:
        """Return the rules with what was said of heartbeats and reconnecting."""
        if self.heartbeat is not None:
            rules = msgspec.structs.replace(rules, heartbeat=self.heartbeat)
        if self.reconnect_delay is not None:
            first, longest = self.reconnect_delay, max(rules.reconnect.longest, self.reconnect_delay)
            delays = Delays(first=first, factor=rules.reconnect.factor, longest=longest)
            rules = msgspec.structs.replace(rules, reconnect=delays)
        return rules

    def changed(
        self,
        *,
        concurrency: int | None = None,
        labels: Mapping[str, str] | None = None,
        heartbeat: Duration | None = None,
        reconnect_delay: Duration | None = None,
        logger: Logger | None = None,
    ) -> Settings:
        """Return the settings with what is given here; None keeps what was. Raises `DefinitionError`."""
        return Settings(
            concurrency=self.concurrency if concurrency is None else _concurrency(concurrency),
            labels=self.labels if labels is None else _labels(labels),
            heartbeat=_within("heartbeat", heartbeat, SHORTEST_BEAT, LONGEST_BEAT, self.heartbeat),
            reconnect_delay=_within(
                "reconnect_delay", reconnect_delay, SHORTEST_DELAY, LONGEST_DELAY, self.reconnect_delay
            ),
            logger=self.logger if logger is None else _logger(logger),
        )


def _concurrency(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST_CONCURRENCY:
        raise DefinitionError(f"concurrency={given!r:.40} must be a whole number from 1 to {MOST_CONCURRENCY:,}")
    return given


def _within(name: str, given: Duration | None, least: float, most: float, before: float | None) -> float | None:
    if given is None:
        return before
    try:
        value = seconds(given)
    except DefinitionError as error:
        raise DefinitionError(f"{name}: {error}") from None
    if not least <= value <= most:
        raise DefinitionError(f"{name}={given!r:.40} must be between {least:g} s and {most:g} s")
    return value


def _labels(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise DefinitionError(f"labels must be a dict such as {{'region': 'eu'}}, not {type(given).__name__}")
    if len(given) > MOST_LABELS:
        raise DefinitionError(f"{len(given)} labels are too many; the limit is {MOST_LABELS}")
    for name, value in given.items():
        for text in (name, value):
            if not isinstance(text, str):
                raise DefinitionError(f"the label {name!r:.60} must be text on both sides, not {type(text).__name__}")
        if not name.strip() or max(len(name), len(value)) > LONGEST_LABEL:
            raise DefinitionError(f"the label {name!r:.60} needs a name, and at most {LONGEST_LABEL} characters a side")
    return dict(given)


def _logger(given: object) -> Logger:
    if not isinstance(given, logging.Logger | logging.LoggerAdapter):
        kind = type(given).__name__
        raise DefinitionError(f"logger must be a logging.Logger, such as logging.getLogger('worker'), not a {kind}")
    return given
