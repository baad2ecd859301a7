"""The binary messages: every procedure has them, every field of our records is in them, and their bytes are as said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.message_factory import GetMessageClass
from msgspec import inspect

from ironflow_lab.models import audit, events, functions, pubsub, runs, timetravel
from ironflow_lab.models.instant import Instant, Int64, Word
from ironflow_lab.server.protocol import codecs, pb
from ironflow_lab.server.protocol.connect import Connect, Procedures
from ironflow_lab.server.protocol.events import Events
from ironflow_lab.server.protocol.functions import Functions
from ironflow_lab.server.protocol.history import History
from ironflow_lab.server.protocol.invoking import Invocations
from ironflow_lab.server.protocol.mapping import plan
from ironflow_lab.server.protocol.runs import Runs
from ironflow_lab.wire import codec
from ironflow_lab.wire.connect import REPEATABLE
from tests.contract.golden.connect import CONNECT
from tests.contract.golden.events import EVENTS
from tests.contract.golden.intervention import INTERVENTION

ROOT = Path(__file__).resolve().parents[2]
COMPILED = ROOT / "ironflow_lab/server/protocol/pb" / pb.COMPILED
METHODS = pb.methods()

# The records that are not named as their message is.
RENAMED: dict[type[msgspec.Struct], str] = {
    audit.AuditTrail: "GetAuditTrailResponse",
    functions.CancelOn: "CancelOnSpec",
    timetravel.StepSnapshot: "TimeTravelStepSnapshot",
    timetravel.RunSnapshot: "TimeTravelRunStateSnapshot",
    timetravel.TimelineEvent: "TimeTravelTimelineEvent",
    timetravel.StepOutput: "GetStepOutputAtResponse",
    runs.PausedState: "GetPausedStateResponse",
    runs.PausedStep: "PausedStepInfo",
}
# What is no message: the REST dialect, and columns of bulk reads.
OTHERS = {
    audit.AuditFollow,
    audit.AuditRow,
    audit.AuditSettingsResponse,
    audit.RunAuditResponse,
    events.Event,
    events.EventName,
    events.EventNames,
    events.EventPage,
    runs.Invoked,
    runs.RunRow,
    runs.RunRowPage,
    runs.StepRow,
    runs.StepRowPage,
}
# What a message has and our record leaves out: read by nobody here, and written by no server of ours.
LEFT_OUT = {"Function": {"cancelOn", "circuitBreaker", "debounce", "nextRun", "throttle"}}
# What our record has and the message has no field for: in JSON only (rulings.md 29).
JSON_ONLY = {"pauseBehavior"}
# Messages that stay plain objects: their fields are refused or answered as a whole.
PLAIN = {"ComponentHealth", "HealthRequest", "HealthResponse"}
SCALARS = {
    inspect.StrType: {FieldDescriptor.TYPE_STRING},
    inspect.BoolType: {FieldDescriptor.TYPE_BOOL},
    inspect.IntType: {FieldDescriptor.TYPE_INT32},
    inspect.FloatType: {FieldDescriptor.TYPE_DOUBLE},
    inspect.BytesType: {FieldDescriptor.TYPE_BYTES},
}


def records() -> dict[str, type[msgspec.Struct]]:
    """Every record of the Connect dialect by the name of its message."""
    found = {}
    for module in (audit, events, functions, pubsub, runs, timetravel):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__:
                found[RENAMED.get(kind, kind.__name__)] = kind
    return {name: kind for name, kind in found.items() if kind not in OTHERS}


def messages() -> dict[str, Any]:
    """Every message that a procedure reaches, by its name."""
    found: dict[str, Any] = {}

    def reach(described: Any) -> None:
        if described.full_name.startswith("google.") or described.name in found:
            return
        if not described.GetOptions().map_entry:
            found[described.name] = described
        for field in described.fields:
            if field.message_type is not None:
                reach(field.message_type)

    for method in METHODS.values():
        reach(method.request.DESCRIPTOR)
        reach(method.response.DESCRIPTOR)
    return found


RECORDS, MESSAGES = records(), messages()
MESSAGES_SENT = CONNECT | EVENTS | INTERVENTION


def table() -> Procedures:
    """The server's own table of procedures; nothing is called."""
    desk, reads, waiting = cast(Any, None), cast(Any, None), cast(Any, None)
    parts = (
        Functions(desk, reads),
        Events(desk, reads, waiting),
        Invocations(desk, reads, waiting),
        Runs(desk, reads),
        History(reads, waiting),
    )
    return Connect(part.procedures for part in parts)._procedures


def test_every_procedure_of_the_table_has_its_messages() -> None:
    assert table().keys() == METHODS.keys()
    for name, (kind, _) in table().items():
        request = METHODS[name].request.DESCRIPTOR.name
        assert request in PLAIN if kind is dict else RECORDS[request] is kind, name


def test_every_message_has_a_record_and_every_record_a_message() -> None:
    assert RECORDS.keys() | PLAIN == MESSAGES.keys()
    assert not RECORDS.keys() & PLAIN


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_of_a_record_is_in_its_message(name: str) -> None:
    described = {field.json_name: field for field in MESSAGES[name].fields}
    info = inspect.type_info(RECORDS[name])
    assert isinstance(info, inspect.StructType)
    misfits = [
        f"{field.encode_name}: {type(field.type).__name__} for {described[field.encode_name].type}"
        for field in info.fields
        if field.encode_name not in JSON_ONLY and not fits(field.type, described[field.encode_name])
    ]
    assert not misfits
    left_out = described.keys() - {field.encode_name for field in info.fields}
    assert left_out == LEFT_OUT.get(name, set())


def fits(kind: inspect.Type, field: Any) -> bool:
    """Whether values of the record's type are what the message's field holds."""
    if isinstance(kind, inspect.UnionType):
        # Only None, for a field that may be absent.
        (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    if isinstance(kind, inspect.VarTupleType):
        return is_repeated(field) and fits_one(kind.item_type, field)
    if isinstance(kind, inspect.DictType) and is_map(field):
        return isinstance(kind.value_type, inspect.StrType)
    return not is_repeated(field) and fits_one(kind, field)


def fits_one(kind: inspect.Type, field: Any) -> bool:
    inner = None if field.message_type is None else field.message_type.name
    match kind:
        case inspect.CustomType(cls) if issubclass(cls, Word):
            names = {value.name: value.number for value in field.enum_type.values}
            ours = {f"{cls.prefix}{word.upper()}": number for number, word in cls.numbers.items()}
            # `pending` is retired: no server sends it, and old clients may ask for it.
            ours.pop("RUN_STATUS_PENDING", None)
            return names == {f"{cls.prefix}UNSPECIFIED": 0, **ours}
        case inspect.CustomType(cls) if cls is Instant:
            return inner == "Timestamp"
        case inspect.CustomType(cls) if cls is Int64:
            return field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64)
        case inspect.StructType(cls):
            return RECORDS.get(inner or "") is cls
        case inspect.DictType():
            return inner == "Struct" or inner in PLAIN
        case inspect.AnyType():
            return inner == ("Value" if field.name.endswith("_value") else "Struct")
        case _:
            return field.type in SCALARS[type(kind)] and field.enum_type is None


def form(field: Any) -> Any:
    """The field as its file has it."""
    described = DescriptorProto()
    field.containing_type.CopyToProto(described)
    return next(one for one in described.field if one.number == field.number)


def is_repeated(field: Any) -> bool:
    return bool(form(field).label == FieldDescriptor.LABEL_REPEATED)


def is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def test_what_may_be_sent_again_is_what_the_protocol_says() -> None:
    marked = {name for name, method in METHODS.items() if method.repeatable}
    # Not marked, and harmless all the same.
    assert REPEATABLE - marked == {"IronflowService/Health"}
    assert marked <= REPEATABLE


def test_the_package_of_every_message_is_that_of_the_wire() -> None:
    assert {described.full_name for described in MESSAGES.values()} == {f"ironflow.v1.{name}" for name in MESSAGES}


# ---- bytes, put together by hand from the tables: tag, length, content

GOLDEN: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "an event": (
        "TriggerRequest",
        {"event": "go", "data": {"n": 1}, "idempotencyKey": "k", "version": 300},
        b"\x0a\x02go" + b"\x12\x10" + b"\x0a\x0e" + b"\x0a\x01n" + b"\x12\x09\x11" + b"\0\0\0\0\0\0\xf0\x3f"
        b"\x1a\x01k" + b"\x28\xac\x02",
    ),
    "an event with nothing": (
        "TriggerRequest",
        {"event": "go", "dataValue": None},
        b"\x0a\x02go" + b"\x32\x02\x08\x00",
    ),
    "an event with values": (
        "TriggerRequest",
        {"dataValue": ["a", True, {}, []]},
        b"\x32\x13\x32\x11" + b"\x0a\x03\x1a\x01a" + b"\x0a\x02\x20\x01" + b"\x0a\x02\x2a\x00" + b"\x0a\x02\x32\x00",
    ),
    "a run": (
        "Run",
        {"id": "r", "status": "RUN_STATUS_WAITING", "createdAt": "1970-01-01T00:00:01.5Z", "outputValue": 0},
        b"\x0a\x01r" + b"\x50\x08" + b"\x8a\x01\x08\x08\x01\x10\x80\xca\xb5\xee\x01\xba\x01\x09\x11" + bytes(8),
    ),
    "a step": (
        "Step",
        {"stepType": "STEP_TYPE_SLEEP", "durationMsFull": "0", "error": {"retryAfterMs": "-1"}},
        b"\x20\x02" + b"\x52\x0b\x30" + b"\xff" * 9 + b"\x01" + b"\xb0\x01\x00",
    ),
    "an audit event": (
        "AuditEvent",
        {"id": "a", "metadata": {"k": "v"}, "scope": "s"},
        b"\x0a\x01a" + b"\x3a\x06\x0a\x01k\x12\x01v" + b"\x62\x01s",
    ),
    "a message of a topic": (
        "PublishResponse",
        {"eventId": "m", "sequence": "300", "duplicate": True},
        b"\x0a\x01m" + b"\x10\xac\x02" + b"\x18\x01",
    ),
    "a batch": (
        "TriggerBatchRequest",
        {"events": [{"event": "go"}, {"event": "on", "version": 2}]},
        b"\x0a\x04\x0a\x02go" + b"\x0a\x06\x0a\x02on\x28\x02",
    ),
    "an invocation": (
        "InvokeFunctionSyncRequest",
        {"functionId": "f", "timeoutMs": 5, "idempotencyKey": "k", "dataValue": True},
        b"\x0a\x01f" + b"\x18\x05" + b"\x22\x01k" + b"\x32\x02\x20\x01",
    ),
    "an injected output": (
        "InjectStepOutputRequest",
        {"runId": "r", "stepId": "s", "newOutput": "eyJhIjoxfQ==", "reason": "w"},
        b"\x0a\x01r" + b"\x12\x01s" + b'\x1a\x07{"a":1}' + b"\x22\x01w",
    ),
    "a change of a function": (
        "FunctionHistoryEntry",
        {"entityVersion": "2", "functionSnapshot": {"id": "f"}, "changeType": "update"},
        b"\x10\x02" + b"\x22\x03\x0a\x01f" + b"\x3a\x06update",
    ),
    "a step of a snapshot": (
        "TimeTravelStepSnapshot",
        {"output": "eyJhIjoxfQ==", "injected": True},
        b'\x32\x07{"a":1}' + b"\x60\x01",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes(name: str) -> None:
    message, values, body = GOLDEN[name]
    described = MESSAGES[message]
    filled = GetMessageClass(described)()
    plan(described).fill(filled, values)
    assert filled.SerializeToString(deterministic=True) == body


@pytest.mark.parametrize("name", MESSAGES_SENT)
def test_the_golden_messages_are_the_same_in_binary(name: str) -> None:
    """JSON to binary and back reads as the same record."""
    record = MESSAGES_SENT[name]
    described = MESSAGES[RENAMED.get(type(record), type(record).__name__)]
    kind = GetMessageClass(described)
    message = kind()
    plan(described).fill(message, json.loads(codec.encode(record)))
    again = plan(described).read(kind.FromString(message.SerializeToString()))
    lost = {field.name: "" for field in msgspec.structs.fields(record) if field.encode_name in JSON_ONLY}
    assert codec.decode(json.dumps(again).encode(), type(record)) == msgspec.structs.replace(record, **lost)


def test_the_adapter_uses_the_messages_of_its_procedure() -> None:
    body = METHODS["IronflowService/GetRun"].request(id="run_1").SerializeToString()
    assert codecs.read("IronflowService/GetRun", body) == b'{"id":"run_1"}'


def test_a_server_that_gets_no_binary_message_never_loads_protobuf() -> None:
    program = "import sys, ironflow_lab.server.app as app; print('google.protobuf' in sys.modules, app.__name__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "ironflow_lab.server.app"]


def test_first_calls_at_the_same_time_all_get_their_answer() -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from ironflow_lab.server.protocol import codecs
together = Barrier(8)
def first(n):
    together.wait(20)
    asked = codecs.read("IronflowService/GetRun", b"\\x0a\\x01r")
    return asked, codecs.write("IronflowService/GetRun", b'{"id":"r","outputValue":[1]}')
with ThreadPoolExecutor(8) as pool:
    print(len(set(pool.map(first, range(8)))))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("1", 0), done.stderr
