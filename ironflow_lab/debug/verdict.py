"""What a check says of one run, and of many in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from ironflow_lab.history import redaction

SAME, SO_FAR, DIVERGES, CANNOT = "same", "so far same", "diverges", "cannot"
VERDICTS = (SAME, SO_FAR, DIVERGES, CANNOT)
REASONS = ("renamed", "reordered", "missing", "new", "changed input", "output", "error")
_LONGEST = 80
_MOST_GROUPS = 4


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What changed code would have made of a recorded run.

    `verdict` is `same`, `so far same` (the run has not ended, or not by its code), `diverges` or `cannot`
    (be checked). `reason` says why it diverges, one of `REASONS`: at `step`, which a renamed one is called
    `became` now; or in a word why it cannot be checked. `step` is "" at the end of the handler. `detail` says
    it in a sentence, fit to show; `file` and `line` are where in the code, "" and 0 where that is not known.
    `agreed` counts the step calls before that. `notes` are what a replay cannot repeat.
    """

    run_id: str
    function_id: str = ""
    status: str = ""
    verdict: str
    reason: str = ""
    step: str = ""
    became: str = ""
    detail: str = ""
    file: str = ""
    line: int = 0
    agreed: int = 0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        where = f" {self.where()}" if self.verdict in (DIVERGES, CANNOT) else ""
        return f"<Verdict {self.run_id}: {self.verdict}{where}>"

    def where(self) -> str:
        """Return where it diverges and how, or why it cannot be checked, in a few words fit to show."""
        step, became = redaction.clip(self.step, limit=_LONGEST), redaction.clip(self.became, limit=_LONGEST)
        if self.verdict == CANNOT:
            return f"({self.reason})"
        how = f"renamed to {became!r}" if self.reason == "renamed" else self.reason
        return f"at step {step!r} ({how})" if step else f"at the end ({how})"


def summary(verdicts: Iterable[Verdict]) -> str:
    """Return how many are the same and how the others differ, the most frequent first: at most four ways of each."""
    found = list(verdicts)
    counts = Counter(one.verdict for one in found)
    parts = [f"{counts[kind]:,} {kind}" for kind in (SAME, SO_FAR) if counts[kind]]
    parts += _grouped([one for one in found if one.verdict == DIVERGES], ("diverges", "diverge"))
    parts += _grouped([one for one in found if one.verdict == CANNOT], ("cannot be checked", "cannot be checked"))
    return ", ".join(parts) or "no runs to check"


def _grouped(found: list[Verdict], verbs: tuple[str, str]) -> list[str]:
    groups = Counter(one.where() for one in found).most_common()
    parts = [f"{count:,} {verbs[0] if count == 1 else verbs[1]} {where}" for where, count in groups[:_MOST_GROUPS]]
    rest = sum(count for _, count in groups[_MOST_GROUPS:])
    return [*parts, f"{rest:,} {verbs[0] if rest == 1 else verbs[1]} otherwise"] if rest else parts
