"""Function registration and reads (worker.md section 2, rpc.md section 6), Connect dialect."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ironflow_lab.models.instant import Instant, Int32, Word
from ironflow_lab.models.runs import NOT_SET, ExecutionMode


class FunctionStatus(Word):
    """One of active, paused, archived."""

    prefix: ClassVar[str] = "FUNCTION_STATUS_"
    numbers: ClassVar[dict[int, str]] = {1: "active", 2: "paused", 3: "archived"}


class Trigger(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What starts a function: exactly one of `event` (wildcards allowed) and `cron`."""

    event: str = ""
    expression: str = ""
    cron: str = ""


class RetryConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A retry policy; zero or empty means the server's default (25 attempts, 1 s, x2, 300 s, pause)."""

    max_attempts: Int32 = 0
    initial_delay_ms: Int32 = 0
    backoff_factor: float = 0.0
    max_delay_ms: Int32 = 0
    on_exhausted: str = ""


class ConcurrencyConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """At most `limit` runs at once, per value of `key` when given."""

    limit: Int32 = 0
    key: str = ""


class RegisterFunctionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Create or update one function."""

    id: str = ""
    name: str = ""
    description: str = ""
    triggers: tuple[Trigger, ...] = ()
    retry: RetryConfig | None = None
    timeout_ms: Int32 = 0
    concurrency: ConcurrencyConfig | None = None
    preferred_mode: ExecutionMode = ExecutionMode("")
    endpoint_url: str = ""
    actor_key: str = ""
    secrets: tuple[str, ...] = ()
    recording: bool = False
    recording_profile: str = ""
    metadata: dict[str, Any] | None = None
    change_reason: str = ""
    debounce: dict[str, Any] | None = None
    throttle: dict[str, Any] | None = None
    circuit_breaker: dict[str, Any] | None = None
    cancel_on: tuple[dict[str, Any], ...] = ()


class Function(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A registered function."""

    id: str
    name: str = ""
    description: str = ""
    triggers: tuple[Trigger, ...] = ()
    retry: RetryConfig | None = None
    timeout_ms: int = 0
    concurrency: ConcurrencyConfig | None = None
    preferred_mode: ExecutionMode = ExecutionMode("")
    endpoint_url: str = ""
    actor_key: str = ""
    status: FunctionStatus = FunctionStatus("")
    version: int = 0
    created_at: Instant = NOT_SET
    updated_at: Instant = NOT_SET
    recording: bool = False
    recording_profile: str = ""
    metadata: dict[str, Any] | None = None


class RegisterFunctionResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The function as stored; `created` is False for an update or an unchanged definition."""

    function: Function
    created: bool = False


class GetFunctionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for one function."""

    id: str = ""


class ListFunctionsRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for a page of functions; `name` matches a part of the name, `mode` is push or pull."""

    status: FunctionStatus = FunctionStatus("")
    limit: Int32 = 0
    cursor: str = ""
    name: str = ""
    mode: str = ""
    offset: Int32 = 0


class ListFunctionsResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of functions by id; an empty `next_cursor` means the end."""

    functions: tuple[Function, ...] = ()
    next_cursor: str = ""
    total_count: int = 0
