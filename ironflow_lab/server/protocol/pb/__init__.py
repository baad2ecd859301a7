"""The messages of the wire: our `.proto` files, and classes made at run time of what `make codegen` compiled.

Descriptors instead of generated modules, because such modules refuse every protobuf older than the
compiler that wrote them, and a notebook's environment seldom has the newest.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

COMPILED = "descriptors.binpb"


class Method(NamedTuple):
    """The message classes of one procedure, and whether it is free of side effects."""

    request: Any
    response: Any
    repeatable: bool


@cache
def methods() -> dict[str, Method]:
    """Return every procedure by `Service/Method`; the first call imports protobuf.

    The classes belong to a pool of their own, so that another library with files of the same names
    may live in the process.
    """
    from google.protobuf import descriptor_pb2, message_factory

    pool, compiled = _pool(), _compiled()
    found: dict[str, Method] = {}
    for service in (service for file in compiled.file for service in file.service):
        described = pool.FindServiceByName(f"ironflow.v1.{service.name}")
        for method in described.methods:
            level = method.GetOptions().idempotency_level
            found[f"{service.name}/{method.name}"] = Method(
                message_factory.GetMessageClass(method.input_type),
                message_factory.GetMessageClass(method.output_type),
                level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS,
            )
    return found


def _pool() -> Any:
    from google.protobuf import descriptor_pool, empty_pb2, struct_pb2, timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    for known in (empty_pb2, struct_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    for file in _compiled().file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _compiled() -> Any:
    from google.protobuf import descriptor_pb2

    return descriptor_pb2.FileDescriptorSet.FromString(files(__package__).joinpath(COMPILED).read_bytes())
