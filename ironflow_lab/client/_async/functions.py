"""Registered functions (IronflowService; worker.md section 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ironflow_lab.client import arguments, queries
from ironflow_lab.client._async import pagination
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.models.functions import (
    Function,
    GetFunctionRequest,
    ListFunctionsResponse,
    RegisterFunctionRequest,
    RegisterFunctionResponse,
)


class AsyncFunctions:
    """`client.functions`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def register(self, message: RegisterFunctionRequest) -> RegisterFunctionResponse:
        """Create or update a function; an unchanged definition changes nothing.

        Keys of concurrency, debounce, throttle and cancel_on may be written `event.data.x`, `data.x`
        or `$.data.x`; `x` is sent. Raises `InvalidArgumentError`, and `UnimplementedError` for an
        option the server lacks.
        """
        return await self._connection.unary(
            "IronflowService/RegisterFunction",
            arguments.registration(message),
            RegisterFunctionResponse,
        )

    async def get(self, function_id: str) -> Function:
        """Return one function; raises `NotFoundError`."""
        message = GetFunctionRequest(id=arguments.identifier("the function id", function_id))
        return await self._connection.unary("IronflowService/GetFunction", message, Function)

    async def list(
        self,
        *,
        status: str = "",
        name: str = "",
        mode: str = "",
        limit: int = 0,
        cursor: str = "",
        offset: int = 0,
    ) -> ListFunctionsResponse:
        """Return a page of functions by id.

        `status` is active, paused or archived, `name` a part of the name, `mode` push or pull,
        `limit` 0 the server's default (100).
        """
        found = queries.functions(status=status, name=name, mode=mode)
        message = queries.page(found, limit=limit, cursor=cursor, offset=offset)
        return await self._connection.unary("IronflowService/ListFunctions", message, ListFunctionsResponse)

    def iterate(
        self, *, status: str = "", name: str = "", mode: str = "", page_size: int = 100
    ) -> AsyncIterator[Function]:
        """Yield every function that `list` would find with these filters, by id."""
        pages = pagination.pages(
            self._connection,
            "IronflowService/ListFunctions",
            queries.functions(status=status, name=name, mode=mode),
            ListFunctionsResponse,
            page_size=arguments.count("page_size", page_size, lowest=1),
        )
        return pagination.items(pages, lambda page: page.functions)
