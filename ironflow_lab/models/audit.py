"""Audit events (AuditService of rpc.md section 6, and their REST twin).

The Connect dialect spells fields in camelCase and the REST dialect in snake_case, so there are two
records of one shape; `AuditRow` is the REST one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.instant import Instant, Int32
from ironflow_lab.models.runs import NOT_SET


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One recorded change of a run; events of a run are strictly increasing in `created_at`."""

    id: str
    run_id: str = ""
    function_id: str = ""
    step_id: str = ""
    event_type: str = ""
    payload: Any = None
    payload_value: Any = msgspec.UNSET
    metadata: dict[str, str] | None = None
    created_at: Instant = NOT_SET
    environment_id: str = ""
    metadata_value: Any = msgspec.UNSET
    scope: str = ""
    platform_key_id: str = ""
    platform_user_id: str = ""
    impersonated_org_id: str = ""


class GetAuditTrailRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for a page of a run's audit events, oldest first; the times are RFC 3339 texts."""

    run_id: str = ""
    event_type: str = ""
    from_timestamp: str = ""
    to_timestamp: str = ""
    limit: Int32 = 0
    cursor: str = ""


class AuditTrail(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of audit events; `total_count` counts all that match, not the page."""

    events: tuple[AuditEvent, ...] = ()
    total_count: int = 0
    next_cursor: str = ""


class AuditFollow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`AuditTrail` as the embedded server's follow route gives it.

    `next_cursor` stands after the last event given, at the end of the log too; `ended` says that no
    event will ever follow it.
    """

    events: tuple[AuditEvent, ...] = ()
    total_count: int = 0
    next_cursor: str = ""
    ended: bool = False


class AuditRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`AuditEvent` in the REST dialect."""

    id: str
    run_id: str = ""
    function_id: str = ""
    step_id: str = ""
    event_type: str = ""
    payload: Any = None
    metadata: Any = None
    created_at: Instant = NOT_SET
    environment_id: str = ""
    scope: str = ""
    platform_key_id: str = ""
    platform_user_id: str = ""
    impersonated_org_id: str = ""


class RunAuditResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A page of `GET /api/v1/audit`, newest first; an empty `next_cursor` is the end."""

    events: tuple[AuditRow, ...] = ()
    next_cursor: str = ""
    retention_days: int = 0
    total_count: int = 0


class AuditSettingsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /api/v1/audit/settings`: what the server captures; `retention_days` 0 means for ever."""

    capture_scope: str = ""
    function_recording: str = ""
    kv_capture: bool = False
    authz_successful_reads: bool = False
    authz_excluded_actions: tuple[str, ...] = ()
    payload_redaction_enabled: bool = False
    payload_redaction_fields: tuple[str, ...] = ()
    retention_days: int = 0
    delivery_guarantee: str = ""
    delivery_healthy: bool = False
    delivery_failure_count: int = 0
    changes_require_restart: bool = False
