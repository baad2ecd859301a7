"""The verbs of a run that explain it: compare, blame, replay, fork, carry away. None of them changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ironflow_lab.history.recording import Recording
    from ironflow_lab.lab.past import Past
    from ironflow_lab.lab.session import Session


class Understanding:
    """What `Run` has of these; a mixin, so that each file has one idea."""

    _session: Session

    @property
    def id(self) -> str:
        """The run's id."""
        raise NotImplementedError

    def _history(self) -> Past:
        raise NotImplementedError

    def recording(self) -> Recording:
        """Return all that is known of the run now, as one value at rest."""
        from ironflow_lab.lab import recordings

        return recordings.read(self._session, self._history())
