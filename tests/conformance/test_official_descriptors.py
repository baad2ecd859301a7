"""Our `.proto` files and bytes beside the official ones: each side reads what the other writes."""

from __future__ import annotations

import json

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass

from ironflow_lab.server.protocol.mapping import plan
from ironflow_lab.wire import codec
from tests.conformance.official.descriptors import described
from tests.conformance.test_official_messages import drop_unset, official, official_script
from tests.contract.golden.connect import CONNECT
from tests.contract.test_descriptors import COMPILED, MESSAGES, RENAMED


def test_every_message_enum_and_method_is_the_official_one() -> None:
    """Names, numbers, types, presence and what is free of side effects."""
    official = json.loads(official_script("descriptors.py"))
    ours = described(list(FileDescriptorSet.FromString(COMPILED.read_bytes()).file))
    for part in ("messages", "enums", "methods"):
        assert ours[part]
        for name, found in ours[part].items():
            assert found == official[part][name], (part, name)


def test_each_side_reads_the_bytes_of_the_other() -> None:
    asked = []
    for record in CONNECT.values():
        name = RENAMED.get(type(record), type(record).__name__)
        message = GetMessageClass(MESSAGES[name])()
        told = official(json.loads(codec.encode(record)))
        plan(MESSAGES[name]).fill(message, told)
        asked.append((name, json.dumps(told), message.SerializeToString().hex()))
    answers = json.loads(official_script("binary.py", json.dumps(asked)))
    for (name, text, _), (written, read) in zip(asked, answers, strict=True):
        assert drop_unset(read) == drop_unset(json.loads(text)), name
        message = GetMessageClass(MESSAGES[name]).FromString(bytes.fromhex(written))
        kind = next(type(one) for one in CONNECT.values() if RENAMED.get(type(one), type(one).__name__) == name)
        again = json.dumps(plan(MESSAGES[name]).read(message)).encode()
        assert codec.decode(again, kind) == codec.decode(text.encode(), kind), name
