"""Turns async source text into its blocking twin, token by token (design D2)."""

from __future__ import annotations

import io
import re
import tokenize
from itertools import accumulate

_ASYNC_ONLY = re.compile(r"^ *# async only: begin\n.*?^ *# async only: end\n", re.DOTALL | re.MULTILINE)
_DROPPED = ("async", "await")
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b__a(?=(enter|exit|iter)__\b)", "__"),
        (r"\bAsyncByteStream\b", "SyncByteStream"),
        (r"\bhandle_async_request\b", "handle_request"),
        (r"\baclose\b", "close"),
        (r"\b_async\b", "_sync"),
        (r"\basync_(?=\w)", ""),
        (r"\bAsync(?=[A-Z])", ""),
    )
)
# Words inside text and comments follow the same rules as names.
_WORDED = {
    getattr(tokenize, name) for name in ("NAME", "STRING", "COMMENT", "FSTRING_MIDDLE") if hasattr(tokenize, name)
}


class Translator:
    """Translates sources and remembers which rules had something to do."""

    def __init__(self) -> None:
        self._unused = {pattern.pattern for pattern, _ in _RULES}

    def translate(self, source: str) -> str:
        """Return the blocking twin of an async source text, not yet formatted."""
        source = _ASYNC_ONLY.sub("", source)
        starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
        for token in reversed(list(tokenize.generate_tokens(io.StringIO(source).readline))):
            begin = starts[token.start[0] - 1] + token.start[1]
            end = starts[token.end[0] - 1] + token.end[1]
            if token.type == tokenize.NAME and token.string in _DROPPED:
                source = source[:begin] + source[end:].lstrip(" ")
            elif token.type in _WORDED:
                source = source[:begin] + self._renamed(source[begin:end]) + source[end:]
        return source

    @property
    def unused(self) -> list[str]:
        """The rules that never applied: they have outlived their use."""
        return sorted(self._unused)

    def _renamed(self, text: str) -> str:
        for pattern, replacement in _RULES:
            text, times = pattern.subn(replacement, text)
            if times:
                self._unused.discard(pattern.pattern)
        return text
