"""Registered functions: the procedures of IronflowService that change and read them (rpc.md section 6)."""

from __future__ import annotations

from typing import Any

from ironflow_lab.models import functions
from ironflow_lab.server.engine.commands import DeleteFunction, RegisterFunction, RollbackFunction, SetFunctionStatus
from ironflow_lab.server.engine.ports import Desk, Reads
from ironflow_lab.server.protocol.connect import Procedures
from ironflow_lab.server.protocol.exchange import Exchange


class Functions:
    """What is registered."""

    def __init__(self, desk: Desk, reads: Reads) -> None:
        self._desk, self._reads = desk, reads

    @property
    def procedures(self) -> Procedures:
        """The Connect procedures, by service and method."""
        return {
            "IronflowService/RegisterFunction": (functions.RegisterFunctionRequest, self._register),
            "IronflowService/GetFunction": (functions.GetFunctionRequest, self._function),
            "IronflowService/ListFunctions": (functions.ListFunctionsRequest, self._functions),
            "IronflowService/UpdateFunctionStatus": (functions.UpdateFunctionStatusRequest, self._set_status),
            "IronflowService/DeleteFunction": (functions.DeleteFunctionRequest, self._delete),
            "IronflowService/ListFunctionHistory": (functions.ListFunctionHistoryRequest, self._history),
            "IronflowService/GetFunctionAtVersion": (functions.GetFunctionAtVersionRequest, self._at_version),
            "IronflowService/RollbackFunction": (functions.RollbackFunctionRequest, self._rollback),
        }

    async def _register(self, exchange: Exchange, message: functions.RegisterFunctionRequest) -> Any:
        return await self._desk.submit(RegisterFunction(env=exchange.env, request=message))

    async def _function(self, exchange: Exchange, message: functions.GetFunctionRequest) -> Any:
        return await self._reads.function(exchange.env, message.id)

    async def _functions(self, exchange: Exchange, message: functions.ListFunctionsRequest) -> Any:
        return await self._reads.functions(exchange.env, message)

    async def _set_status(self, exchange: Exchange, message: functions.UpdateFunctionStatusRequest) -> Any:
        command = SetFunctionStatus(env=exchange.env, function_id=message.id, status=message.status)
        return await self._desk.submit(command)

    async def _delete(self, exchange: Exchange, message: functions.DeleteFunctionRequest) -> Any:
        return await self._desk.submit(DeleteFunction(env=exchange.env, function_id=message.id))

    async def _history(self, exchange: Exchange, message: functions.ListFunctionHistoryRequest) -> Any:
        return await self._reads.function_history(exchange.env, message)

    async def _at_version(self, exchange: Exchange, message: functions.GetFunctionAtVersionRequest) -> Any:
        entry = await self._reads.function_at_version(exchange.env, message.function_id, message.version)
        return functions.GetFunctionAtVersionResponse(entry=entry)

    async def _rollback(self, exchange: Exchange, message: functions.RollbackFunctionRequest) -> Any:
        command = RollbackFunction(
            env=exchange.env,
            function_id=message.function_id,
            entity_version=message.version,
            reason=message.change_reason,
        )
        return await self._desk.submit(command)
