"""Registered functions (IronflowService; worker.md section 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from ironflow_lab.client import arguments, queries
from ironflow_lab.client._async import pagination
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.payloads import json_object, json_pair
from ironflow_lab.models.events import (
    InvokeFunctionRequest,
    InvokeFunctionResponse,
    InvokeFunctionSyncRequest,
    InvokeFunctionSyncResponse,
    RunResult,
)
from ironflow_lab.models.functions import (
    DeleteFunctionRequest,
    Function,
    FunctionHistoryEntry,
    FunctionStatus,
    GetFunctionAtVersionRequest,
    GetFunctionAtVersionResponse,
    GetFunctionRequest,
    ListFunctionHistoryResponse,
    ListFunctionsResponse,
    RegisterFunctionRequest,
    RegisterFunctionResponse,
    RollbackFunctionRequest,
    RollbackFunctionResponse,
    UpdateFunctionStatusRequest,
)
from ironflow_lab.models.instant import Int64
from ironflow_lab.wire.duration import Duration


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

    async def invoke(self, function_id: str, data: Any = None, *, idempotency_key: str = "") -> InvokeFunctionResponse:
        """Start one run of a function, whatever triggers it; return its id and that of its event at once.

        `data` is any value with a JSON form, the run's input; None sends no payload. With an
        `idempotency_key` the call is sent again when the server cannot be reached, and a repeat gives the
        first run; `AlreadyExistsError` means that the key was used for something else. Raises
        `NotFoundError`, and `FailedPreconditionError` for an archived function.
        """
        message = InvokeFunctionRequest(
            function_id=arguments.identifier("the function id", function_id),
            idempotency_key=idempotency_key,
            **json_pair("data", data),
        )
        return await self._connection.unary(
            "IronflowService/InvokeFunction", message, InvokeFunctionResponse, keyed=bool(idempotency_key)
        )

    async def invoke_sync(
        self,
        function_id: str,
        data: Any = None,
        *,
        timeout: Duration = "30s",
        idempotency_key: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> RunResult:
        """Start one run of a function, as `invoke`, and return how it ended.

        A run that still goes on after `timeout` has `wait_timed_out` set and goes on. A call that is given
        up before cancels the run it started, so a lost connection ends the run: it is never sent again.
        """
        held = arguments.hold("timeout", timeout)
        message = InvokeFunctionSyncRequest(
            function_id=arguments.identifier("the function id", function_id),
            timeout_ms=held,
            idempotency_key=idempotency_key,
            metadata=json_object("metadata", metadata),
            **json_pair("data", data),
        )
        procedure = "IronflowService/InvokeFunctionSync"
        answer = await self._connection.unary(procedure, message, InvokeFunctionSyncResponse, wait=held / 1_000)
        return answer.result

    async def set_status(self, function_id: str, status: str) -> Function:
        """Make a function "active", "paused" (its runs wait in the queue) or "archived" (no event starts it).

        Returns the function; raises `NotFoundError`.
        """
        message = UpdateFunctionStatusRequest(
            id=arguments.identifier("the function id", function_id),
            status=arguments.needed_word(FunctionStatus, "status", status),
        )
        return await self._connection.unary("IronflowService/UpdateFunctionStatus", message, Function)

    async def delete(self, function_id: str) -> None:
        """Remove a function; its history and its runs stay. Raises `NotFoundError`."""
        message = DeleteFunctionRequest(id=arguments.identifier("the function id", function_id))
        await self._connection.unary("IronflowService/DeleteFunction", message, dict)

    async def history(self, function_id: str, *, limit: int = 0, from_version: int = 0) -> ListFunctionHistoryResponse:
        """Return a page of a function's changes, newest first, those of a deleted one included.

        `limit` 0 is the server's default (50, at most 200); `from_version` is the `entity_version` the
        page begins below, 0 the newest. Raises `NotFoundError` where there never was such a function.
        """
        message = queries.function_history(function_id, limit=limit, from_version=from_version)
        return await self._connection.unary("IronflowService/ListFunctionHistory", message, ListFunctionHistoryResponse)

    async def history_iterate(self, function_id: str, *, page_size: int = 50) -> AsyncIterator[FunctionHistoryEntry]:
        """Yield every change of a function, newest first; raises `NotFoundError`."""
        before = 0
        while True:
            page = await self.history(
                function_id, limit=arguments.count("page_size", page_size, lowest=1), from_version=before
            )
            for entry in page.entries:
                yield entry
            if not (page.has_more and page.entries):
                return
            before = page.entries[-1].entity_version

    async def at_version(self, function_id: str, version: int) -> FunctionHistoryEntry:
        """Return the change with that `entity_version`: who changed what, and the function after it.

        Raises `NotFoundError`.
        """
        message = GetFunctionAtVersionRequest(
            function_id=arguments.identifier("the function id", function_id),
            version=Int64(arguments.count("version", version, lowest=1)),
        )
        procedure = "IronflowService/GetFunctionAtVersion"
        return (await self._connection.unary(procedure, message, GetFunctionAtVersionResponse)).entry

    async def rollback(self, function_id: str, version: int, *, reason: str = "") -> Function:
        """Make a function what it was after the change with that `entity_version`, as a new version.

        Returns the function. Raises `NotFoundError`, and `FailedPreconditionError` for the version that
        deleted it.
        """
        message = RollbackFunctionRequest(
            function_id=arguments.identifier("the function id", function_id),
            version=Int64(arguments.count("version", version, lowest=1)),
            change_reason=reason,
        )
        answer = await self._connection.unary("IronflowService/RollbackFunction", message, RollbackFunctionResponse)
        return answer.function
