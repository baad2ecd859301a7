"""Typed event data: what is taken as a type, what comes out, and what is told of data that does not fit."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.runtime import schemas
from ironflow_lab.runtime.schemas import Mismatch


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Line:
    sku: str
    count: int = 1


@dataclasses.dataclass
class Order:
    total: float
    lines: list[Line] = dataclasses.field(default_factory=list)
    stock: dict[str, int] = dataclasses.field(default_factory=dict)
    colour: Colour = Colour.RED

    def __post_init__(self) -> None:
        if self.total < 0:
            raise ValueError("a total is not negative")


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    size: Literal["s", "m"]
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    at: datetime | None = None


class Loose(TypedDict):
    n: int
    note: NotRequired[str]


class Model(pydantic.BaseModel):
    n: int
    stock: dict[str, int] = {}
    parts: list[Model] = []

    @pydantic.field_validator("n")
    @classmethod
    def small(cls, n: int) -> int:
        if n > 9:
            raise ValueError("at most nine")
        return n


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Home(pydantic.BaseModel):
    pet: Cat | Dog = pydantic.Field(discriminator="kind")


@pydantic.dataclasses.dataclass
class Ready:
    n: int


class Plain:
    pass


@dataclasses.dataclass
class Unresolved:
    n: Nowhere  # type: ignore[name-defined]  # noqa: F821


def read(kind: Any, data: Any) -> Any:
    """Return the data as the type."""
    schema = schemas.of(kind)
    assert schema is not None
    return schema.read(data)


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (Order, {"total": 1, "lines": [{"sku": "a"}]}, Order(1.0, [Line("a", 1)])),
        (Strict, {"size": "s"}, Strict(size="s")),
        (Strict, {"size": "m", "at": "2026-01-02T03:04:05Z"}, None),
        (Loose, {"n": 1, "more": 2}, {"n": 1}),
        (Model, {"n": 1, "parts": [{"n": 2}]}, Model(n=1, parts=[Model(n=2)])),
        (Ready, {"n": 1}, Ready(n=1)),
        (list[Model], [{"n": 1}], [Model(n=1)]),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (int, 2**62, 2**62),
    ],
)
def test_data_that_fits_is_read(kind: Any, data: Any, expected: Any) -> None:
    found = read(kind, data)
    assert found == expected if expected is not None else found.at.year == 2026


def test_no_type_is_no_schema() -> None:
    assert schemas.of(None) is None
    assert schemas.of(Any) is None
    assert (repr(schemas.of(Order)), repr(schemas.of(list[int]))) == ("<schema Order>", "<schema list[int]>")


PRIVATE = "4111-private"


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        (Order, {"total": PRIVATE}, "$.total is str and should be float"),
        (Order, {}, "$.total is missing"),
        (Order, {"total": 1, "lines": [{"sku": "a"}, {}]}, "$.lines[1].sku is missing"),
        (Order, {"total": 1, "stock": {PRIVATE: "x"}}, "$.stock[...] is str and should be int"),
        (Order, {"total": 1, "colour": PRIVATE}, "$.colour is none of the values that the type allows"),
        (Order, {"total": -1}, "$ is refused by the type's own check: a total is not negative"),
        (Order, [PRIVATE], "$ is array and should be object"),
        (Order, None, "$ is null and should be object"),
        (Strict, {"size": PRIVATE}, "$.size is none of the values that the type allows"),
        (Strict, {"size": "s", PRIVATE: 1}, "$ has a field that the type does not have"),
        (Strict, {"size": "s", "count": 0}, "$.count: expected `int` >= 1"),
        (Loose, {"n": 1, "note": 5}, "$.note is int and should be str"),
        (dict[int, str], {PRIVATE: "a"}, "a key of $ is str and should be int"),
        (Model, {}, "$.n is missing"),
        (Model, {"n": PRIVATE}, "$.n is str: input should be a valid integer, unable to parse string as an integer"),
        (Model, {"n": 10}, "$.n is int: value error, at most nine"),
        (Model, {"n": 1, "stock": {PRIVATE: None}}, "$.stock[...] is null: input should be a valid integer"),
        (Model, {"n": 1, "parts": [{}, {}]}, "$.parts[0].n is missing (and 1 more)"),
        (Model, PRIVATE, "$ is str: input should be an object"),
        (Home, {"pet": {"kind": PRIVATE}}, "$.pet has none of the tags that the type allows"),
        (int, {1, 2}, "$ is array and should be int"),
        (int, object(), "it is no JSON: Encoding objects of type object is unsupported"),
    ],
)
def test_data_that_does_not_fit_is_told_by_its_path_and_not_shown(kind: Any, data: Any, told: str) -> None:
    with pytest.raises(Mismatch) as refused:
        read(kind, data)
    assert str(refused.value) == told
    assert PRIVATE not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_long_fault_is_cut() -> None:
    kind = Annotated[str, msgspec.Meta(pattern="a" * 2_000)]
    with pytest.raises(Mismatch) as refused:
        read(kind, "b")
    assert len(str(refused.value)) == schemas.LONGEST_FAULT + 1


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (5, "schema=5: "),
        ("Order", "it is a text; pass the type itself"),
        ({"type": "object"}, "JSON schemas are not read here; write a dataclass"),
        (Plain, "it is not a dataclass, a msgspec.Struct, a pydantic model or a TypedDict"),
        (Unresolved, "schema=Unresolved: name 'Nowhere' is not defined"),
        (Order | Line, "may not contain more than one dataclass"),
        (print, "schema=<built-in function print>: "),
    ],
)
def test_what_cannot_be_a_schema(kind: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        schemas.of(kind)


def annotated(event: Order, ctx: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def bare(event, ctx): ...  # type: ignore[no-untyped-def]  # wrong on purpose


def lost(event: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def test_the_annotation_of_the_first_parameter_is_a_schema_unless_one_is_given() -> None:
    @dataclasses.dataclass
    class Local:
        n: int

    def inner(event: Local) -> None: ...

    kinds = [schemas.of_parameter(one, given) for one, given in ((annotated, None), (bare, None), (annotated, Strict))]
    assert [one and one.kind for one in kinds] == [Order, None, Strict]
    with pytest.raises(DefinitionError, match="'Nowhere' of 'event' means nothing here; pass the type itself: schema="):
        schemas.of_parameter(lost, None)
    assert schemas.of_parameter(lost, Order) is not None
    with pytest.raises(DefinitionError, match="'Local' of 'event' means nothing here"):
        schemas.of_parameter(inner, None)
    assert schemas.of_parameter(inner, Local) is not None
