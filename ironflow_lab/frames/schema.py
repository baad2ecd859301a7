"""The published columns of every frame: name, dtype and where the value comes from on the wire."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.functions import FunctionStatus
from ironflow_lab.models.runs import ExecutionMode, RunStatus, StepStatus, StepType

# In the order a run or a step moves through them; an unknown word of a newer server sorts last.
RUN_STATUSES = (
    "pending",
    "waiting_for_capacity",
    "running",
    "waiting",
    "paused",
    "completed",
    "failed",
    "cancelled",
)
STEP_STATUSES = (
    "pending",
    "running",
    "sleeping",
    "waiting",
    "retrying",
    "completed",
    "failed",
    "timed_out",
    "dead",
)
STEP_TYPES = ("invoke", "sleep", "wait_for_event", "compensate", "invoke_function")
FUNCTION_STATUSES = ("active", "paused", "archived")
MODES = ("pull", "push")

TEXT = "string"
NUMBER = "Int64"
REAL = "Float64"
FLAG = "boolean"
TIME = "datetime64[ns, UTC]"
SPAN = "timedelta64[ns]"
JSON = "json"
WORD = "category"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column. `source` is the field on the wire; `words` are a category's values in order.

    `prefix` is what precedes a word on the wire. `repeated` says that few distinct values are
    expected, so that equal texts are stored once; `zero_is_missing` that a number's zero means
    "not said", as with servers older than the field; `empty_is_text` that the empty text is a value.
    """

    name: str
    dtype: str
    source: str
    words: tuple[str, ...] = ()
    prefix: str = ""
    repeated: bool = False
    zero_is_missing: bool = False
    empty_is_text: bool = False


def _text(name: str, source: str, *, repeated: bool = False) -> Column:
    return Column(name=name, dtype=TEXT, source=source, repeated=repeated)


def _column(name: str, dtype: str, source: str) -> Column:
    return Column(name=name, dtype=dtype, source=source)


def _known(name: str, source: str) -> Column:
    return Column(name=name, dtype=NUMBER, source=source, zero_is_missing=True)


def _word(name: str, source: str, prefix: str, words: tuple[str, ...]) -> Column:
    return Column(name=name, dtype=WORD, source=source, prefix=prefix, words=words)


RUNS = (
    _text("run_id", "id"),
    _text("function_id", "functionId", repeated=True),
    _word("status", "status", RunStatus.prefix, RUN_STATUSES),
    _column("attempt", NUMBER, "attempt"),
    _known("max_attempts", "maxAttempts"),
    _column("created_at", TIME, "createdAt"),
    _column("started_at", TIME, "startedAt"),
    _column("ended_at", TIME, "endedAt"),
    _column("duration", SPAN, "endedAt - startedAt"),
    _text("error", "error.message"),
    _text("error_code", "error.code", repeated=True),
    _text("event_name", "eventName", repeated=True),
    _text("event_id", "eventId"),
    _text("worker_id", "workerId", repeated=True),
    _known("function_version", "functionVersion"),
    _text("parent_run_id", "parentRunId"),
    _text("pause_reason", "pauseReason", repeated=True),
    _text("cancellation_cause", "cancellationCause"),
    _column("updated_at", TIME, "updatedAt"),
)
RUN_PAYLOADS = (
    _column("input", JSON, "input, inputValue"),
    _column("output", JSON, "output, outputValue"),
)
STEPS = (
    _text("run_id", "runId", repeated=True),
    _column("sequence", NUMBER, "sequence"),
    _text("name", "stepId", repeated=True),
    _word("type", "stepType", StepType.prefix, STEP_TYPES),
    _word("status", "status", StepStatus.prefix, STEP_STATUSES),
    _column("attempt", NUMBER, "attempt"),
    _column("started_at", TIME, "startedAt"),
    _column("ended_at", TIME, "endedAt"),
    _column("duration", SPAN, "endedAt - startedAt, else durationMs"),
    _column("sleep_until", TIME, "sleepUntil"),
    _text("error", "error.message"),
    _text("error_code", "error.code", repeated=True),
    _text("step_id", "stepId"),
    _column("created_at", TIME, "createdAt"),
    _column("updated_at", TIME, "updatedAt"),
)
STEP_PAYLOADS = (_column("output", JSON, "output, outputValue"),)
# How the run that an event started stands; joined to the rows that were sent.
OUTCOMES = (
    _text("run_id", "id"),
    _word("status", "status", RunStatus.prefix, RUN_STATUSES),
    _column("output", JSON, "output, outputValue"),
    _text("error", "error.message"),
    _text("error_code", "error.code", repeated=True),
    _known("attempts", "attempt"),
    _column("duration", SPAN, "endedAt - startedAt"),
    _text("function_id", "functionId", repeated=True),
    _text("event_id", "eventId of Emit"),
    _text("emit_error", "the refusal of Emit", repeated=True),
)
FUNCTIONS = (
    _text("function_id", "id"),
    _text("name", "name"),
    _text("description", "description"),
    _word("status", "status", FunctionStatus.prefix, FUNCTION_STATUSES),
    _word("mode", "preferredMode", ExecutionMode.prefix, MODES),
    _column("triggers", JSON, "triggers"),
    _known("max_attempts", "retry.maxAttempts"),
    _text("on_exhausted", "retry.onExhausted", repeated=True),
    _column("timeout", SPAN, "timeoutMs"),
    _column("recording", FLAG, "recording"),
    _column("version", NUMBER, "version"),
    _column("created_at", TIME, "createdAt"),
    _column("updated_at", TIME, "updatedAt"),
)
# What was recorded; a position counts a run's events from 1 and is missing where they are not all at hand.
AUDIT = (
    _known("position", "place in the run's trail"),
    _column("created_at", TIME, "createdAt"),
    _text("event_type", "eventType", repeated=True),
    _text("name", "stepId", repeated=True),
    _column("payload", JSON, "payload, payloadValue"),
    _text("run_id", "runId", repeated=True),
    _text("function_id", "functionId", repeated=True),
    _text("step_id", "stepId", repeated=True),
    _text("event_id", "id"),
    _column("metadata", JSON, "metadata, metadataValue"),
    _text("environment_id", "environmentId", repeated=True),
)
TIMELINE = (
    _column("position", NUMBER, "place in the run's trail"),
    _column("at", TIME, "createdAt"),
    _column("since_start", SPAN, "createdAt - that of the first event"),
    _text("event_type", "eventType", repeated=True),
    _text("name", "stepName", repeated=True),
    _text("summary", "eventType, payload", repeated=True),
    _column("significant", FLAG, "eventType, payload"),
    _text("step_id", "stepId", repeated=True),
    _text("event_id", "id"),
)
# What runs wrote in this data folder, a line each; `step` is missing outside a step's body.
LOGS = (
    _column("at", TIME, "when the line ended"),
    _text("run_id", "run_id", repeated=True),
    _text("function_id", "function_id", repeated=True),
    _known("attempt", "attempt"),
    _text("step", "name of the step", repeated=True),
    _text("step_id", "id of the step", repeated=True),
    _text("stream", "stdout, stderr, log, warning, error, display", repeated=True),
    _text("level", "level of a record, category of a warning", repeated=True),
    Column(name="text", dtype=TEXT, source="the line", empty_is_text=True),
)
# What differs between two moments of a run; the cause is an event, told with its position.
CHANGES = (
    _text("path", "place in the state of the run"),
    _column("before", JSON, "the value at the first moment"),
    _column("after", JSON, "the value at the second moment"),
    _text("cause", "eventType, position", repeated=True),
    _text("actor", "payload", repeated=True),
    _column("position", NUMBER, "place of the cause in the run's trail"),
    _column("at", TIME, "createdAt of the cause"),
)
# The steps of a run as they were at a moment; those that had not started are absent.
STATES = (
    _column("sequence", NUMBER, "order of first appearance"),
    _text("name", "stepName, made unique"),
    _word("type", "stepType", StepType.prefix, STEP_TYPES),
    _word("status", "status", StepStatus.prefix, STEP_STATUSES),
    _known("attempt", "attempt"),
    _column("started_at", TIME, "startedAt"),
    _column("ended_at", TIME, "endedAt"),
    _column("duration", SPAN, "endedAt - startedAt, else durationMs"),
    _column("sleep_until", TIME, "until"),
    _column("output", JSON, "output"),
    _text("error", "error.message"),
    _text("error_code", "error.code", repeated=True),
    _column("patched", FLAG, "step.patched"),
    _column("injected", FLAG, "step.injected"),
    _column("original_output", JSON, "originalOutput, previousOutput"),
    _text("by", "patchedBy, injectedBy", repeated=True),
    _text("reason", "reason"),
    _text("step_id", "stepId"),
)
