"""The routes below `/ironflow-lab/`, all of them: each needs the user of the Jupyter server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from ironflow_lab.errors import FailedPreconditionError, InvalidArgumentError, IronflowError, ResourceExhaustedError
from ironflow_lab.jupyter import answers
from ironflow_lab.jupyter.statuses import statuses
from ironflow_lab.jupyter.upstream import Upstream, Upstreams
from ironflow_lab.jupyter.views import Views
from ironflow_lab.models.runs import RunRow, RunStatus
from ironflow_lab.wire import codec

_RUN = r"([A-Za-z0-9][A-Za-z0-9_.:-]{0,127})"
_LONGEST_TEXT = 200
_LONGEST_ID = 129
_LONGEST_WAIT = 20
_MOST_RUNS = 200
_MOST_EVENTS = 10_000_000
_LARGEST_BODY = 4_096
_LARGEST_ANSWER = 64_000_000


class Desk:
    """What the handlers share: the servers, and the histories that tabs look at."""

    def __init__(self, root: Path) -> None:
        self.upstreams = Upstreams(root)
        self.views = Views()


class Handler(APIHandler):
    """One route: reads its arguments, works unless the browser leaves, answers JSON."""

    auth_resource = "ironflow_lab"
    # A panel that looks every few seconds is not a user at work: idle servers may still be culled.
    _track_activity = False

    def initialize(self, desk: Desk) -> None:
        """Take what the handlers share."""
        self.desk = desk
        self._work: asyncio.Future[Any] | None = None

    def on_connection_close(self) -> None:
        """Give the work up: nobody reads the answer, and the engine need not find it."""
        super().on_connection_close()
        if self._work is not None:
            self._work.cancel()

    async def answer(self, work: Coroutine[Any, Any, Any]) -> None:
        """Answer with what the work returns, or with the error it raises."""
        self._work = asyncio.ensure_future(work)
        try:
            status, content = 200, await self._work
        except IronflowError as error:
            status, content = answers.refusal(error)
        except asyncio.CancelledError:
            if self._work.cancelled():
                return
            raise
        body = codec.encode(content)
        if len(body) > _LARGEST_ANSWER:
            status, content = answers.refusal(ResourceExhaustedError("too large to show here; read it in Python"))
            body = codec.encode(content)
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        await self.finish(body)

    def folder(self) -> Path:
        """Return the folder the request is about; raises `InvalidArgumentError`."""
        return self.desk.upstreams.folder(self.text("folder", longest=4 * _LONGEST_TEXT))

    def upstream(self) -> Upstream:
        """Return the server of that folder."""
        return self.desk.upstreams.at(self.folder())

    def text(self, name: str, *, longest: int = _LONGEST_TEXT) -> str:
        """Return a text of the query; raises `InvalidArgumentError` for a longer one."""
        given: str = self.get_query_argument(name, "", strip=False)
        if len(given) > longest:
            raise InvalidArgumentError(f"{name} is longer than {longest} characters")
        return given

    def number(self, name: str, default: int, *, most: int) -> int:
        """Return a whole number of the query; raises `InvalidArgumentError` outside 0 to `most`."""
        given = self.text(name) or str(default)
        if not (given.isascii() and given.isdigit()) or int(given) > most:
            raise InvalidArgumentError(f"{name} must be a whole number from 0 to {most}")
        return int(given)


class StatusHandler(Handler):
    """`GET status`: the server of the folder."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with a `Status`."""
        await self.answer(self._read())

    async def _read(self) -> Any:
        return await self.desk.upstreams.status(self.folder())


class StartHandler(Handler):
    """`POST start`: the embedded server of the folder."""

    _track_activity = True

    @authenticated
    @authorized
    async def post(self) -> None:
        """Answer with the `Status` once it runs."""
        await self.answer(self._start())

    async def _start(self) -> Any:
        if len(self.request.body) > _LARGEST_BODY:
            raise InvalidArgumentError("the request has a body that no start needs")
        return await self.desk.upstreams.start(self.folder())


class RunsHandler(Handler):
    """`GET runs`: the newest runs."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with `runs`, newest first."""
        await self.answer(self._read())

    async def _read(self) -> Any:
        status = self.text("status")
        if status and status not in RunStatus.numbers.values():
            raise InvalidArgumentError(f"status must be one of {', '.join(RunStatus.numbers.values())}")
        limit = self.number("limit", 50, most=_MOST_RUNS)
        pages = self.upstream().client.runs.row_pages(
            page_size=max(1, limit), function_id=self.text("function"), status=status
        )
        found: list[RunRow] = []
        async for page in pages:
            found = page.runs
            break
        return {"runs": [answers.run_line(run) for run in found]}


class StatusesHandler(Handler):
    """`GET statuses`: how the named runs stand."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with `runs`, and with the ids of those that are `unknown`."""
        await self.answer(self._read())

    async def _read(self) -> Any:
        named = [one for one in self.text("runs", longest=_MOST_RUNS * _LONGEST_ID).split(",") if one]
        if len(named) > _MOST_RUNS or not all(re.fullmatch(_RUN, one) for one in named):
            raise InvalidArgumentError(f"runs must be at most {_MOST_RUNS} ids with commas between them")
        upstream = self.upstream()
        if self.text("server").rstrip("/") != upstream.settings.server_url.rstrip("/"):
            raise FailedPreconditionError("Jupyter reaches another server from this folder")
        found = await statuses(upstream.client, tuple(dict.fromkeys(named)))
        unknown = [one for one in dict.fromkeys(named) if one not in found]
        return {"runs": [answers.status_line(run) for run in found.values()], "unknown": unknown}


class ChunkHandler(Handler):
    """`GET runs/{id}/chunk`: a run's history, or what came since."""

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with `cursor`, `ended` and `chunk`, held up to `wait` seconds while nothing changes."""
        await self.answer(self._read(run_id))

    async def _read(self, run_id: str) -> Any:
        answer = await self.desk.views.chunk(
            self.upstream(),
            run_id,
            after=self.number("after", 0, most=_MOST_EVENTS),
            cursor=self.text("cursor"),
            wait=self.number("wait", 0, most=_LONGEST_WAIT),
        )
        return answers.chunk_answer(answer)


class ValueHandler(Handler):
    """`GET runs/{id}/value`: a value that was too large for a chunk."""

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with `key` and `json`, the value's JSON text."""
        await self.answer(self._read(run_id))

    async def _read(self, run_id: str) -> Any:
        key = self.text("key")
        return {"key": key, "json": await self.desk.views.value(self.upstream(), run_id, key)}


def install(app: ServerApp) -> None:
    """Add the routes to a Jupyter server."""
    desk = Desk(Path(app.root_dir))
    routes = {
        "status": StatusHandler,
        "start": StartHandler,
        "runs": RunsHandler,
        "statuses": StatusesHandler,
        f"runs/{_RUN}/chunk": ChunkHandler,
        f"runs/{_RUN}/value": ValueHandler,
    }
    base = app.web_app.settings["base_url"]
    app.web_app.add_handlers(
        ".*$",
        [(url_path_join(base, "ironflow-lab", route), handler, {"desk": desk}) for route, handler in routes.items()],
    )
