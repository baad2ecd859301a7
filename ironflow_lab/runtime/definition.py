"""The options of a durable function: all that may be said of it, settled into what it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict

from ironflow_lab.errors import DefinitionError
from ironflow_lab.runtime import flow, options, schemas, triggers
from ironflow_lab.runtime.upcasters import Upcasters
from ironflow_lab.wire.duration import Duration

Durability = Literal["pipelined", "step"]

_DURABILITIES = ("pipelined", "step")


class Further(TypedDict, total=False):
    """What `handler` takes besides its own arguments."""

    name: str
    description: str
    timeout: Duration | None
    step_timeout: Duration | None
    debounce: flow.Debounce | None
    throttle: flow.Throttle | None
    cancel_on: flow.CancelsOn | None
    pause_behavior: flow.PauseBehavior | None
    secrets: Iterable[str] | None
    actor_key: str | None
    metadata: Mapping[str, Any] | None
    upcasters: Upcasters | None
    durability: Durability
    recording: options.Recording | None


class Options(Further, total=False):
    """What `function` takes besides the id."""

    on: triggers.On | None
    cron: triggers.Cron | None
    schema: Any
    retry: options.Retry | None
    concurrency: flow.Concurrency | None


def settled(given: Options) -> dict[str, Any]:
    """Return what a `DurableFunction` is made with, besides its handler, id and schema; raises `DefinitionError`."""
    return {
        "name": _text("name", given.get("name", "")),
        "description": _text("description", given.get("description", "")),
        "triggers": triggers.of(given.get("on"), given.get("cron")),
        "retry": options.retry(given.get("retry")),
        "timeout_ms": options.timeout_ms(given.get("timeout")),
        "step_timeout": options.step_timeout(given.get("step_timeout")),
        "concurrency": flow.concurrency(given.get("concurrency")),
        "debounce": flow.debounce(given.get("debounce")),
        "throttle": flow.throttle(given.get("throttle")),
        "cancel_on": flow.cancel_on(given.get("cancel_on")),
        "pause_behavior": flow.pause_behavior(given.get("pause_behavior")),
        "secrets": options.secrets(given.get("secrets")),
        "actor_key": flow.actor_key(given.get("actor_key")),
        "metadata": options.metadata(given.get("metadata")),
        "upcasters": _upcasters(given.get("upcasters")),
        "durability": _durability(given.get("durability", "pipelined")),
        "recording": options.recording(given.get("recording")),
        "schema": schemas.of(given.get("schema")),
    }


def _text(option: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DefinitionError(f"{option} must be text, not {type(value).__name__}")
    return value


def _durability(value: Any) -> Durability:
    if value not in _DURABILITIES:
        raise DefinitionError(f"durability={value!r:.40} must be 'pipelined' or 'step'")
    return "step" if value == "step" else "pipelined"


def _upcasters(value: Any) -> Upcasters | None:
    if value is not None and not isinstance(value, Upcasters):
        raise DefinitionError(
            f"upcasters must be an ironflow_lab.Upcasters, not {type(value).__name__}; make one, and register() in it"
        )
    return value
