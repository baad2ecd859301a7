"""Every example of the testing kit's documentation does what it says."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["running", "crashing", "contexts"])
def test_the_examples_are_true(module: str) -> None:
    found = doctest.testmod(import_module(f"ironflow_lab.testing.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
