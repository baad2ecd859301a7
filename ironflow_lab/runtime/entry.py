"""How an assignment becomes what a handler is given: old events brought up to date, then read by the schema."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.workers import JobEvent
from ironflow_lab.runtime import schemas
from ironflow_lab.runtime.context import Context, S
from ironflow_lab.runtime.events import Event, of_job
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.namespaces import outside
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.upcasters import redacted

CRON = "cron"


def context(segment: Segment, step: S, now: int) -> Context[S]:
    """Return the context of an execution that begins now; raises `NonRetryableError` for an event that does not fit."""
    return Context(
        segment.assignment,
        step,
        keep=segment.keep,
        event=event_of(segment.function, segment.assignment.event),
        declared=segment.function.secrets,
        started_at=now,
    )


def event_of(function: DurableFunction, job: JobEvent) -> Event:
    """Return the event as this function takes it; raises `NonRetryableError`.

    Its version is that of the data after the upcasters. Events of cron triggers have no data of the
    user's and are not read by the schema.
    """
    event = of_job(job)
    if function.namespace:
        event = msgspec.structs.replace(event, name=outside(function.namespace, event.name))
    if function.upcasters is not None:
        data, version = function.upcasters.upcast(event.name, event.data, event.version)
        event = msgspec.structs.replace(event, data=data, version=version)
    schema = function.schema
    if schema is None or event.source == CRON:
        return event
    if redacted(event.data):
        raise schemas.refusal(function.id, event.name, schema, "it was redacted")
    try:
        return msgspec.structs.replace(event, data=schema.read(event.data))
    except schemas.Mismatch as error:
        raise schemas.refusal(function.id, event.name, schema, str(error)) from None
