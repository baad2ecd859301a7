"""Functions for the worker's tests."""

from __future__ import annotations

import asyncio
from typing import Any

from ironflow_lab.runtime.function import DurableFunction, function


class Gates:
    """A function of steps that each wait until the test lets them end."""

    def __init__(self, steps: int, *, size: int = 0, **options: Any) -> None:
        self.bodies: list[int] = []
        self.cancelled: list[int] = []
        self.gates = [asyncio.Event() for _ in range(steps)]

        @function("f", **options)
        async def handler(ctx: Any) -> Any:
            for number in range(steps):
                await ctx.step.run("work", self.body, number, size)
            return "end"

        self.function: DurableFunction = handler

    async def body(self, number: int, size: int) -> Any:
        self.bodies.append(number)
        try:
            await self.gates[number].wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return "x" * size if size else number

    def open(self, *numbers: int) -> None:
        for number in numbers:
            self.gates[number].set()


@function("quick")
async def quick(ctx: Any) -> Any:
    async def body() -> int:
        return 7

    return await ctx.step.run("a", body)


def other(id: str = "other") -> DurableFunction:
    @function(id, on="other.event")
    async def handler(ctx: Any) -> str:
        return id

    return handler
