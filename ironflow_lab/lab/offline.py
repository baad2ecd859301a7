"""A session without a server: a capsule answers what the client asks, and nothing is ever started or changed."""

from __future__ import annotations

import msgspec

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.client.config import Key, Settings
from ironflow_lab.clock import SystemIds
from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.history import redaction
from ironflow_lab.history.capsule import Capsule
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab import summary
from ironflow_lab.lab.carried import AsyncCarried, Carried, described, remedy
from ironflow_lab.lab.guard import Guard
from ironflow_lab.lab.naming import Naming
from ironflow_lab.lab.progress import count
from ironflow_lab.lab.session import Joined, Session
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.runtime.logs import Lines, LogLine
from ironflow_lab.wire.retry import NO_RETRY, RetryPolicy

# A host that no name server knows: an address the client can read, and nothing can be sent to.
URL = "http://capsule.invalid"
_LONGEST_NAME = 120
_MOST_PATHS = 3


class OfflineSession(Session):
    """What the views of an opened run need; its clock stands at the moment the capsule was saved."""

    def __init__(self, capsule: Capsule, name: str) -> None:
        self._capsule = capsule
        self._name = redaction.clip(name, limit=_LONGEST_NAME)
        self._carried = Carried(capsule, self._name)
        self._begin(Settings(server_url=URL, api_key=Key("")))
        self.clock = Still(capsule.saved_at)
        self.ids = SystemIds()
        self.client = Client(URL, "", "", transport=self._carried, retry=NO_RETRY)
        self.joined = Joined(
            server_url=f"capsule {self._name}, read from {capsule.origin.server or 'a server'}",
            version=capsule.origin.version,
            environment=capsule.origin.environment,
            missing=capsule.origin.missing,
        )
        self.holds = False
        self.follows = "runs/audit" not in capsule.origin.missing
        self.guard = OfflineGuard(self._name, capsule)
        self.naming = Naming()

    @property
    def capsule(self) -> Capsule:
        """What stands in the place of a server."""
        return self._capsule

    @property
    def scope(self) -> str | None:
        """The name of the server in a data folder, so that the code kept there of its functions is found."""
        return self.capsule.origin.scope

    @property
    def told(self) -> str:
        """What a card says below: where it comes from, and what was hidden."""
        capsule, hidden = self.capsule, self.capsule.hidden
        facts = [f"capsule {self._name}, saved {summary.moment(capsule.saved_at)}"]
        if not capsule.redacted:
            facts.append("exact values")
        elif hidden.values or hidden.texts:
            places = list(hidden.paths)
            first = ", ".join([*places[:_MOST_PATHS], *(["..."] if len(places) > _MOST_PATHS else [])])
            at = f" ({redaction.clip(first, limit=2 * _LONGEST_NAME)})" if first else ""
            facts.append(f"{count(hidden.values, 'value')} and {count(hidden.texts, 'piece')} of text hidden{at}")
        else:
            facts.append("redacted, nothing was hidden")
        if capsule.run.status not in TERMINAL:
            facts.append("it had not ended then")
        return "; ".join(facts)

    def recording_of(self, run_id: str) -> Recording | None:
        """Return the capsule's recording of its run, None for another run."""
        return self.capsule.recording if run_id == self.capsule.run.id else None

    def lines_of(self, run_id: str) -> Lines | None:
        """Return what the capsule's run wrote; nothing is known of another run."""
        capsule = self.capsule
        if run_id != capsule.run.id:
            return Lines()
        lines = tuple(LogLine(run_id=run_id, **msgspec.structs.asdict(line)) for line in capsule.lines)
        return Lines(lines, capsule.dropped, found=capsule.logged)

    def new_async_client(self) -> AsyncClient:
        """Return another client of the capsule."""
        return self._make(NO_RETRY)

    def _make_awaited(self) -> AsyncClient:
        return self.new_async_client()

    def _make(self, retry: RetryPolicy) -> AsyncClient:
        return AsyncClient(URL, "", "", transport=AsyncCarried(self._carried), retry=retry)


class Still:
    """A clock that has stopped."""

    def __init__(self, at: int) -> None:
        self._at = at

    def now(self) -> int:
        """Return the one instant, in nanoseconds."""
        return self._at


class OfflineGuard(Guard):
    """Refuses every change, for there is nothing that could be changed."""

    def __init__(self, name: str, capsule: Capsule) -> None:
        super().__init__(URL, on=True)
        self._capsule, self._name = capsule, name

    def check(self, plan: str) -> None:
        """Raise `FailedPreconditionError`, which names the capsule and the remedy."""
        raise FailedPreconditionError(
            f"{described(self._capsule, self._name)}: nothing can change it. This would {plan}; nothing was done."
            f" {remedy(self._capsule)}"
        )
