"""How a worker makes itself and its functions known to a server (worker.md sections 2 and 3.1)."""

from __future__ import annotations

import platform
import socket

import msgspec

from ironflow_lab._version import __version__
from ironflow_lab.models.workers import RegisterRequest, WorkerVersion
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.registry import Registry
from ironflow_lab.runtime.remote import Remote
from ironflow_lab.runtime.settings import Settings

# What a registration says of who made it, in the function's metadata (design D10).
OWNER = "ironflow_lab_owner"


class Enrolment:
    """What has been registered of one worker; each call raises `ApiError` when it is refused or not answered.

    `owner` goes with every function, "" with none.
    """

    def __init__(
        self, remote: Remote, registry: Registry, *, worker_id: str, instance_id: str, owner: str = ""
    ) -> None:
        self.worker_id = worker_id
        self.instance_id = instance_id
        self._remote = remote
        self._registry = registry
        self._owner = owner
        self._confirmed: set[str] = set()

    async def add(self, function: DurableFunction) -> None:
        """Register one function; the next `everything` does not do so again."""
        await self._function(function)
        self._confirmed.add(function.id)

    async def everything(self, settings: Settings) -> None:
        """Register all functions and then the worker."""
        for function in self._registry.newest():
            if function.id not in self._confirmed:
                await self._function(function)
        # What was confirmed now is sent again at the next registration (worker.md section 2).
        self._confirmed.clear()
        await self.worker(settings)

    async def worker(self, settings: Settings) -> None:
        """Announce the worker as it is set up now; its leases stay."""
        message = RegisterRequest(
            worker_id=self.worker_id,
            hostname=socket.gethostname(),
            function_ids=tuple(function.id for function in self._registry.newest()),
            max_concurrent_jobs=settings.concurrency,
            labels=settings.labels,
            version=WorkerVersion(sdk=__version__, runtime=f"python-{platform.python_version()}"),
            instance_id=self.instance_id,
        )
        await self._remote.workers.register(self.worker_id, message)

    def forget(self) -> None:
        """Let everything be registered again next time."""
        self._confirmed.clear()

    async def _function(self, function: DurableFunction) -> None:
        request = function.request()
        if self._owner:
            metadata = {**(request.metadata or {}), OWNER: self._owner}
            request = msgspec.structs.replace(request, metadata=metadata)
        await self._remote.functions.register(request)
