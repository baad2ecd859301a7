"""An emission where it was displayed: kept current from the server while its runs go on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from ironflow_lab.errors import ApiError, UnavailableError
from ironflow_lab.kernel import display
from ironflow_lab.kernel.session import shell
from ironflow_lab.lab.tally import Tally
from ironflow_lab.lab.waiting import look
from ironflow_lab.models.runs import Run

if TYPE_CHECKING:
    from ironflow_lab.client import AsyncClient
    from ironflow_lab.lab.session import Session

LONGEST = 1_800.0
SHORTEST = 0.25
_MOST_DISPLAYS = 8
_LONGEST_PAUSE, _GROWTH = 2.0, 1.5
_AWAY = 2.0
# A look at many runs is a look at pages of them: seldom enough to stay cheap.
_A_SECOND = 250
_WATCHES_A_SECOND = 16
_MOST_HELD = 500


class Live:
    """The displays of one emission, redrawn at most four times a second by a watch in the background.

    The watch only reads. It ends when every run has settled, when the session closes, or after half an
    hour; then `note` says that the display is not kept current any more.
    """

    _active: ClassVar[int] = 0

    def __init__(self, session: Session, tally: Tally, bundle: Callable[[str], Mapping[str, Any]]) -> None:
        self._session = session
        self._tally = tally
        self._bundle = bundle
        self._displays: deque[display.Live] = deque(maxlen=_MOST_DISPLAYS)
        self._drawn_at = float("-inf")
        self._drawn: tuple[int, str] | None = None
        self._note = ""
        self._drawing = Lock()
        self._watching = False
        self._relieved = False

    def show(self) -> bool:
        """Display the emission under the running cell and keep it current; return whether there was a notebook."""
        self._tally.revisit()
        # What another thread hears meanwhile is drawn once the display is among those that are redrawn.
        with self._drawing:
            shown = display.show(self._bundle(self._note))
            if shown is None:
                return False
            self._displays.append(shown)
        self._begin()
        return True

    def take(self, run: Run) -> None:
        """Note how a run stands, and say so in the displays."""
        self._tally.take(run)
        self.draw()

    def draw(self, *, at_once: bool = False) -> None:
        """Redraw the displays if they say something else, but not twice within a quarter of a second."""
        # What is said later has to be shown later, whichever thread says it.
        with self._drawing:
            now, said = monotonic(), (self._tally.version, self._note)
            if said == self._drawn or not (at_once or now - self._drawn_at >= SHORTEST):
                return
            self._drawn_at, self._drawn = now, said
            bundle = self._bundle(self._note) if self._displays else {}
            for shown in tuple(self._displays):
                # In no cell's context: what runs a notebook without a page listens to the running cell only.
                Context().run(shown.update, bundle)

    @contextmanager
    def relieved(self) -> Iterator[None]:
        """Leave it to the block to look at the runs and to `take` them."""
        self._relieved = True
        try:
            yield
        finally:
            self._relieved = False
            # Drawn again if nothing is new too: what was drawn between two cells may have reached nobody.
            self._drawn = None
            self.draw(at_once=True)

    def _begin(self) -> None:
        if not self._watching and not self._tally.settled:
            self._watching = True
            self._session.begin(self._watch)

    async def _watch(self, client: AsyncClient) -> None:
        Live._active += 1
        try:
            async with asyncio.timeout(LONGEST):
                await self._until_settled(client)
        except TimeoutError:
            self._note = "not followed any more after half an hour; display it again to go on"
        except ApiError as error:
            self._note = f"not followed any more: {error.message}"
        finally:
            Live._active -= 1
            self._watching = False
        self.draw(at_once=True)

    async def _until_settled(self, client: AsyncClient) -> None:
        while not self._tally.settled:
            try:
                await (asyncio.sleep(SHORTEST) if self._relieved else self._follow(client))
            except UnavailableError:
                self._note = "the server does not answer; this goes on when it does"
                self.draw()
                await asyncio.sleep(_AWAY)

    async def _follow(self, client: AsyncClient) -> None:
        pause = SHORTEST
        while not self._relieved and (pending := self._tally.pending()):
            before = self._tally.version
            for run in await look(client, pending):
                self._tally.take(run)
            self._note = ""
            self.draw()
            pause = SHORTEST if self._tally.version != before else min(pause * _GROWTH, _LONGEST_PAUSE)
            await self._between(client, max(pause, len(pending) / _A_SECOND, Live._active / _WATCHES_A_SECOND))

    async def _between(self, client: AsyncClient, pause: float) -> None:
        """Wait until the next look at all; runs that end meanwhile are looked at as they do."""
        until = monotonic() + pause
        while not self._relieved and (rest := until - monotonic()) > 0 and (pending := self._tally.pending()):
            if not self._session.holds:
                await asyncio.sleep(rest)
                continue
            held = pending[:_MOST_HELD]
            answer = await client.runs.wait(held, timeout=min(rest, pause if len(held) == 1 else SHORTEST))
            for run in await look(client, answer.ended):
                self._tally.take(run)
            self.draw()


def running_cell() -> object:
    """Return what tells the running cell from those before and after it, None outside a kernel."""
    running = shell()
    return None if running is None else running.execution_count
