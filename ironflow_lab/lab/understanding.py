"""The verbs of a run that explain it: compare, blame, replay, fork, carry away. None of them changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pandas as pd

    from ironflow_lab.debug.choices import Word
    from ironflow_lab.history.recording import Recording
    from ironflow_lab.lab.blaming import Blame
    from ironflow_lab.lab.comparing import Comparison
    from ironflow_lab.lab.forking import Fork
    from ironflow_lab.lab.past import Past
    from ironflow_lab.lab.replaying import Code, Replay
    from ironflow_lab.lab.run import Run
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

    def compare(self, other: Run | Recording | str) -> Comparison:
        """Return this run (`a`) beside another (`b`), given as a run, its id or a recording.

        Steps are paired across loops, branches, renames and moves; `.first` is where the two part first, `.same`
        whether they came to the same, `.steps` the pairs as a frame with `frames.comparison.COMPARISON` as columns.
        What cannot be known, because a run was not recorded or is redacted, is said in `.notes`. Raises
        `NotFoundError` for an unknown id.
        """
        from ironflow_lab.lab import comparing

        return comparing.compare(self._session, self.recording(), other)

    def blame(self, path: str) -> Blame:
        """Return which step, attempt and event put the value at a path where it stands, when, who and why.

        A path is `output.total`, `input.id`, `error.message`, `steps.charge.output.items[0]`; what stands there now
        comes with all that stood there before. Of a run that was not recorded it is as much as its rows tell,
        which it says. Raises `DefinitionError` for a path that cannot be read, and `NotFoundError` for an unknown
        step and for a place where nothing ever stood.
        """
        from ironflow_lab.lab import blaming

        return blaming.blame(self._session, self.recording(), path)

    def fork(
        self,
        from_step: str | None = None,
        with_outputs: Mapping[str, Any] | None = None,
        fn: Any = None,
        *,
        steps: Word | Mapping[str, Word] | None = None,
    ) -> Fork:
        """Return a what-if: the run as recorded up to a step, and otherwise from there; the run is never touched.

        It is local and not durable. `with_outputs` are outputs of steps, `{"charge": {"ok": True}}`, or errors to
        make them fail (`il.NonRetryableError("declined")`); of a wait it is the event's data. `fn` is other code:
        a function, a handler or a version. The fork begins at `from_step`, else at the first step of
        `with_outputs`, else at the first that failed, else at the beginning. From there `steps` decides, for all
        or by step: "stub" (the default) hands out the recorded outcome, "run" executes the body here and for
        real, "stop" ends before the step. Where nothing is recorded it stops and says what it needs.

        Nothing is executed by this call: `fork.plan` says what would be. Raises `NotFoundError` for an unknown
        `from_step`, `InvalidArgumentError` for a name of several steps, `DefinitionError` and `PayloadError` for
        what cannot be meant.
        """
        from ironflow_lab.lab import forking

        return forking.fork(self._session, self.recording(), from_step, with_outputs, fn, steps)

    def replay(
        self,
        fn: Code | None = None,
        *,
        until: str | None = None,
        break_at: str | Iterable[str] | None = None,
    ) -> Replay:
        """Execute the run's code again in this process, each step giving what was recorded, and return how it went.

        Nothing leaves the process: steps are not executed, and the code between them has no network, files to
        write, processes or threads. It sees the recorded time and chance seeded by the run's id, sleeps pass at
        once. It stops where it asks for what was not recorded, and says so. The run is not touched.

        fn: other code: a function, a handler, or the beginning of the hash of one of its versions; by default
            the version the run began with, where this process has it, else the newest.
        until: a step's label (`charge`, `charge:1`) or name: it stops at the next step call after that.
        break_at: a step's label or name, or several: the debugger stops at its call in your cell, with your
            variables as they were; "error" stops where the code raises.

        Raises `NotFoundError` where the code is not defined here, and `DefinitionError` for wrong arguments.
        """
        from ironflow_lab.lab import replaying

        return replaying.replay(self._session, self.recording(), fn, until=until, break_at=break_at)

    @property
    def logs(self) -> pd.DataFrame:
        """What the run printed, logged, warned of and displayed, a line each, with `frames.schema.LOGS` as columns.

        Oldest first, as far as this data folder has it: the last 256 kB. `attrs["complete"]` is False where
        older lines are gone, and where nothing is kept of the run.
        """
        from ironflow_lab.lab import capsules, logs
        from ironflow_lab.lab.place import place

        session = self._session
        return logs.frame(
            lambda run_id: capsules.lines_of(session, run_id),
            [self.id],
            place=str(place(session)[0]) if session.capsule is None else session.joined.server_url,
            server_url=session.joined.server_url,
            now=session.clock.now(),
        )

    @property
    def hidden(self) -> dict[str, int]:
        """What the capsule of this run does not hold: how many values were hidden at each path, at most 500.

        It is empty for a run of a server, and for a capsule in which nothing was hidden or that has exact values.
        """
        capsule = self._session.capsule
        return {} if capsule is None else dict(capsule.hidden.paths)

    def save(self, path: str | os.PathLike[str], *, redact: bool = True, overwrite: bool = False) -> Path:
        """Write all that is known of the run into one file, a capsule, and return its path: `il.open(path)`.

        It holds the run, its steps, its audit events, the rows of its children, its function's registration,
        the event that started it, why it stands, what it printed and which code it ran (hash and place, no
        source text). `.ironflow` is appended to a path without a suffix; into a folder it goes under the
        run's id. Values under secret-looking keys, and the same texts elsewhere, are written as
        `[redacted]` unless `redact` is False; the card of the opened run says how many. The file is written
        as a whole, for this user alone. A capsule of the same run is replaced; raises `CapsuleError` where
        the file is anything else, unless `overwrite`, and for a run too large for a capsule (128 MiB).
        """
        from ironflow_lab.lab import capsules

        return capsules.save(self._session, self._history(), path, redact=redact, overwrite=overwrite)

    def to_perfetto(self, path: str | os.PathLike[str] | None = None) -> str | Path:
        """Return the run as a trace in the format of Chrome, which ui.perfetto.dev and others open, as JSON text.

        A track for the run and one for each of its steps: attempts, waits for the next attempt, sleeps, waits
        and pauses; patches and injections as marks; the runs its steps started on tracks of their own, with
        arrows to them. Payloads are shown redacted and cut. With a `path` it is written there, replacing what
        there is, and the path is returned.
        """
        from ironflow_lab.lab import tracing

        return tracing.to_perfetto(self._session, self._history(), path)
