"""What came of killing a worker at every moment, as a report one can read and assert on."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec

from ironflow_lab.errors import DefinitionError
from ironflow_lab.history import redaction
from ironflow_lab.testing.result import Result
from ironflow_lab.testing.watch import Point

if TYPE_CHECKING:
    import pandas as pd

_HEADS = ("#", "killed at", "line", "ran twice", "handler again", "end")
_SHOWN = 200
_CELL = "text-align:left;padding:2px 12px 2px 0"


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """One kill and what came of it.

    `twice` names the steps whose bodies ran more often than without it, `times` how often the most frequent
    of them did; `outside` is how many times more a handler began, which executes its code outside steps
    again. `strange` names steps that only one of the two runs had, `same` says whether status and output are
    those of the undisturbed run, `lost` are runs that never ended. Where `reached` is False the handler took
    another way than before, and no worker was killed there.
    """

    point: Point
    reached: bool
    twice: tuple[str, ...]
    times: int
    outside: int
    strange: tuple[str, ...]
    status: str
    output: Any
    error: str
    same: bool
    lost: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the run came to something else than without the kill."""
        return not (self.same and self.reached) or bool(self.strange)

    def __str__(self) -> str:
        """Return the kill and its consequence in one line."""
        return f"killed at {self.point}: {self.end}"

    @property
    def end(self) -> str:
        """How the run ended, compared with the undisturbed one."""
        if self.lost:
            return f"LOST: {', '.join(self.lost)} never ended"
        if not self.reached:
            return "NOT REACHED: the handler took another way"
        if self.strange:
            return f"OTHER STEPS: {', '.join(self.strange)}"
        if self.same:
            return "same"
        return f"DIFFERENT: {self.status} {self.error or redaction.show(self.output)}"


class CrashReport:
    """All kills of `crash_everywhere`, and the undisturbed run as `whole`.

    `left_out` is how many moments were not tried.
    """

    def __init__(self, whole: Result, crashes: tuple[Crash, ...], *, left_out: int = 0) -> None:
        self.whole = whole
        self.crashes = crashes
        self.left_out = left_out

    @property
    def twice(self) -> tuple[str, ...]:
        """The steps that ran twice after some kill, in the order in which that came about."""
        return tuple(dict.fromkeys(name for crash in self.crashes for name in crash.twice))

    @property
    def outside(self) -> bool:
        """Whether the code outside the steps was executed again after some kill."""
        return any(crash.outside > 0 for crash in self.crashes)

    @property
    def differences(self) -> tuple[Crash, ...]:
        """The kills after which the run came to something else, or took another way."""
        return tuple(crash for crash in self.crashes if crash.differs)

    @property
    def lost(self) -> tuple[Crash, ...]:
        """The kills after which a run never ended: a defect of the engine, not of the function."""
        return tuple(crash for crash in self.crashes if crash.lost)

    def assert_safe(self, idempotent: Iterable[str] = ()) -> None:
        """Raise `AssertionError` unless every kill is harmless.

        That is when the run always came to the same end by the same steps, and no step ran twice but those
        named here: what they do may be done twice, since it has a key of its own or changes nothing.
        """
        if isinstance(idempotent, str):
            raise DefinitionError(f"idempotent takes the names of steps: idempotent=({idempotent!r:.60},)")
        named = set(idempotent)
        bad = [crash for crash in self.crashes if crash.differs or crash.lost or not named.issuperset(crash.twice)]
        if not bad:
            return
        risky = [name for name in self.twice if name not in named]
        says = [f"{self.whole.function_id!r} is not safe at {len(bad):,} of {len(self.crashes):,} moments."]
        if risky:
            says.append(
                f"These steps may run twice: {', '.join(risky)}. Give what they do a key of its own (such as the"
                " run's id), then name them: assert_safe(idempotent=...)."
            )
        if self.differences:
            says.append(
                "The end or the steps differ: what the handler decides on has to come from the event or from steps,"
                " not from the clock, chance or variables outside."
            )
        raise AssertionError("\n".join([*says, *_table(bad)]))

    def frame(self) -> pd.DataFrame:
        """Return one row a kill: moment, step, function_id, line, twice, outside, same, lost, status."""
        import pandas as pd

        rows = [
            {
                "moment": crash.point.moment,
                "step": crash.point.step,
                "function_id": crash.point.function_id,
                "line": crash.point.line,
                "twice": list(crash.twice),
                "outside": crash.outside,
                "same": not crash.differs,
                "lost": bool(crash.lost),
                "status": crash.status,
            }
            for crash in self.crashes
        ]
        heads = ("moment", "step", "function_id", "line", "twice", "outside", "same", "lost", "status")
        return pd.DataFrame(rows, columns=list(heads))

    def __repr__(self) -> str:
        """Return a table of the kills."""
        return "\n".join([self._headline(), *_table(self.crashes)])

    def _repr_html_(self) -> str:
        def row(tag: str, cells: Iterable[str]) -> str:
            return "<tr>" + "".join(f'<{tag} style="{_CELL}">{escape(cell)}</{tag}>' for cell in cells) + "</tr>"

        body = "".join(row("td", cells) for cells in _rows(self.crashes))
        table = f"<table><thead>{row('th', _HEADS)}</thead><tbody>{body}</tbody></table>"
        more = escape(_hidden(self.crashes))
        return f"<div><strong>{escape(self._headline())}</strong>{table}{more}</div>"

    def _headline(self) -> str:
        twice = f"may run twice: {', '.join(self.twice)}" if self.twice else "no step ran twice"
        again = "; the code outside steps ran again" if self.outside else ""
        worse = [
            f"{len(found)} {what}" for found, what in ((self.differences, "different"), (self.lost, "lost")) if found
        ]
        left = f"; {self.left_out:,} moments left out" if self.left_out else ""
        verdict = ", ".join(worse) or "always the same end"
        return f"{self.whole.function_id}: killed at {len(self.crashes):,} moments, {verdict}; {twice}{again}{left}"


def _rows(crashes: Iterable[Crash]) -> list[tuple[str, ...]]:
    return [
        (
            str(number),
            str(crash.point),
            str(crash.point.line or ""),
            ", ".join(crash.twice) + (f" ({crash.times} times)" if crash.times > 2 else ""),
            "yes" if crash.outside > 0 else "",
            crash.end,
        )
        for number, crash in enumerate(list(crashes)[:_SHOWN], 1)
    ]


def _table(crashes: Iterable[Crash]) -> list[str]:
    kept = list(crashes)
    rows = [_HEADS, *_rows(kept)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    hidden = _hidden(kept)
    return [*lines, *([hidden] if hidden else [])]


def _hidden(crashes: Iterable[Crash]) -> str:
    more = len(list(crashes)) - _SHOWN
    return f"… and {more:,} more" if more > 0 else ""
