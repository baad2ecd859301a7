"""The versions of a function, looked at and compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.errors import NotFoundError
from ironflow_lab.lab import sources
from ironflow_lab.lab.naming import Naming
from ironflow_lab.lab.sources import FunctionSource, Version
from ironflow_lab.runtime.sources import Source
from ironflow_lab.runtime.sourcestore import SourceStore

SCRIPT = "<script>alert('x')</script>"


def version(code_hash: str, text: str, **fields: Any) -> Source:
    return Source(code_hash=code_hash, text=text, notebook="/home/me/orders.ipynb", cell_number=4, line=3, **fields)


@pytest.fixture
def session(tmp_path: Path) -> Any:
    return SimpleNamespace(data_dir=tmp_path, naming=Naming(""))


@pytest.fixture
def kept(session: Any) -> SourceStore:
    found = sources.store(session)
    found.keep("order", version("aaaa1111", "def order(ctx):\n    return 1\n", cell="# cell\n"))
    found.keep("order", version("aabb2222", "def order(ctx):\n    return 2\n", cell="# cell 2\n"))
    return found


def test_the_newest_text_and_all_versions(session: Any, kept: SourceStore) -> None:
    found = sources.function_source(session, "order")
    assert found.text == str(found) == "def order(ctx):\n    return 2\n"
    assert found.cell == "# cell 2\n"
    assert [(one.hash, one.lines, one.place) for one in found.versions] == [
        ("aaaa1111", 2, "orders.ipynb, cell [4], line 3"),
        ("aabb2222", 2, "orders.ipynb, cell [4], line 3"),
    ]
    assert repr(found).startswith("<source of 'order': 2 versions, <version aabb2222: 2 lines, orders.ipynb, cell [4]")


def test_in_a_namespace_it_is_the_function_of_that_name(session: Any, kept: SourceStore) -> None:
    kept.keep("me.order", version("cccc", "mine"))
    session.naming = Naming("me")
    assert sources.function_source(session, "order").text == "mine"


def test_an_unknown_name_is_answered_with_the_known_ones(session: Any, kept: SourceStore) -> None:
    with pytest.raises(NotFoundError, match=r"no source of a function 'ordr' is kept in .*; there is 'order'"):
        sources.function_source(session, "ordr")


def test_where_nothing_is_kept_it_says_when_it_will_be(session: Any) -> None:
    with pytest.raises(NotFoundError, match="there is none yet: it comes with the first"):
        sources.function_source(session, "order")


def made(*texts: str) -> FunctionSource:
    return FunctionSource("order", tuple(version(f"{number:04x}", text) for number, text in enumerate(texts)))


@pytest.mark.parametrize(("wanted", "expected"), [(0, 0), (-1, 2), ("0001", 1), ("0002", 2), (1, 1)])
def test_a_version_by_index_or_the_beginning_of_its_hash(wanted: int | str, expected: int) -> None:
    found = made("a", "b", "c")
    assert found.at(wanted) is found.versions[expected]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (3, "has 3 versions; 3 is none"),
        ("f", "no version 'f'; there is 0000"),
        ("000", "several versions"),
        ("", "no version"),
    ],
)
def test_a_version_that_is_not_one(wanted: int | str, said: str) -> None:
    with pytest.raises(NotFoundError, match=said):
        made("a", "b", "c").at(wanted)


def test_the_difference_of_two_versions() -> None:
    found = made("def f(ctx):\n    return 1\n", "def f(ctx):\n    return 2\n", "def f(ctx):\n    return 3\n")
    assert found.diff(0, 1).splitlines()[-3:] == [" def f(ctx):", "-    return 1", "+    return 2"]
    assert repr(found.diff()) == str(found.diff())
    assert "return 2" in found.diff()
    assert "return 1" not in found.diff()
    assert repr(found.diff(0, 0)) == "no difference"
    assert "no difference" in found.diff(0, 0)._repr_html_()


def test_one_version_has_no_difference_and_says_why() -> None:
    with pytest.raises(NotFoundError, match="has 1 version; -2 is none"):
        made("a").diff()


def test_html_is_escaped_and_bounded() -> None:
    found = FunctionSource(
        SCRIPT, tuple(version(f"{n}{SCRIPT}", f"# {n} {SCRIPT}\n" + "x" * 20_000) for n in range(30))
    )
    for html in (found._repr_html_(), found.diff()._repr_html_()):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert len(html) < 20_000
        assert "background:transparent" in html
    assert "and 10 older versions" in found._repr_html_()
    assert len(repr(found.diff())) <= 8_000


def test_a_difference_repeats_its_signs_as_colours() -> None:
    html = made("a", "b").diff()._repr_html_()
    assert '<span style="color:var(--jp-success-color1, #2e8b57)">+b</span>' in html
    assert '<span style="color:var(--jp-error-color1, #d0483e)">-a</span>' in html


def test_a_version_shows_no_text_in_its_line() -> None:
    (one,) = made("secret = 1").versions
    assert isinstance(one, Version)
    assert "secret" not in repr(one)
