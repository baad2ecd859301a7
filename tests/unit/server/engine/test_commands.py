"""The run and sequence inside a job id; anything else names no segment."""

from __future__ import annotations

import pytest

from ironflow_lab.server.engine.commands import run_of_job


@pytest.mark.parametrize(
    ("job_id", "found"),
    [
        ("run_01.3", ("run_01", 3)),
        ("a.b.17", ("a.b", 17)),
        ("run_01", ("run_01", -1)),
        ("", ("", -1)),
        ("run_01.", ("run_01.", -1)),
        ("run_01.-1", ("run_01.-1", -1)),
        ("run_01.1.5x", ("run_01.1.5x", -1)),
        ("run_01.\u0663", ("run_01.\u0663", -1)),
        ("run_01." + "9" * 5_000, ("run_01." + "9" * 5_000, -1)),
    ],
)
def test_run_of_job(job_id: str, found: tuple[str, int]) -> None:
    assert run_of_job(job_id) == found
