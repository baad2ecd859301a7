"""Lists every symbol that the Go SDK reference shows.

`python tests/contract/extract_reference.py REFERENCE.txt > tests/contract/reference_symbols.txt`

The reference is a web page as plain text: prose and code run into each other and most line breaks
are lost, so this reads it as a stream of sightings, in order:

    Emit, ErrTimeout, WithTimeout         what stands behind `ironflow.`
    Client.Emit, Bucket.Put               methods, by the type of the variable they are called on
    FunctionConfig.CancelOn               fields set in a literal, listed in a table or a struct
    Client.Emit().EventID                 fields read from what a call returned, `[]` for each of many
    IRONFLOW_API_KEY                      environment variables
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

# The variables whose type the page fixes once and for all.
RECEIVERS = {
    "client": "Client",
    "kv": "KV",
    "bucket": "Bucket",
    "cfg": "Config",
    "subClient": "SubscriptionClient",
    "grpcClient": "SubscriptionClient",
    "sub": "Subscription",
    "worker": "Worker",
    "registry": "UpcasterRegistry",
    "watcher": "ConfigWatcher",
    "logger": "Logger",
}
# Words that the page's conversion to text glued together where a heading was dropped.
GLUED = {
    "Revisionentry": "Revision entry",
    "UpdatedAtShallow": "UpdatedAt Shallow",
    "OperationUnconditional": "Operation Unconditional",
    "StepErrorif": "StepError if",
    "StepTimeoutErrorif": "StepTimeoutError if",
    "InvokeErrorif": "InvokeError if",
}
# The variables that hold what a call returned; named, because a comment may be glued before them.
RESULTS = (
    r"asyncResult|result|snapshot|stepOutput|state|stats|run|events|event|entry|info|buckets|configs"
    r"|topics|key|functions|workers|caps|params|ProcessOrder"
)
CALL = r"(?:{receivers})\.[A-Z]\w*|ironflow\.[A-Z]\w*".format(receivers="|".join(RECEIVERS))
SIGHTING = re.compile(
    rf"""
      (?P<result>{RESULTS}|{"|".join(RECEIVERS)})(?:,\ \w+)?\ :?=\ (?P<call>{CALL})(?:\[\w+\])?\(
    | for\ (?:_,\ )?(?P<each>\w+)\ :=\ range\ (?P<many>\w+(?:\.\w+)?(?:\(\))?)   # for _, run := range
    | (?P<typed>\w+)\ \*?ironflow\.(?P<type>[A-Z]\w*)                   # ctx ironflow.Context
    | (?P<plain>\w+),\ \w+\ :=\ signal\.                                # ctx, cancel := signal.
    | ironflow\.(?P<name>[A-Z]\w*(?:\.[A-Z]\w*)?)                       # ironflow.Patterns.Run
    | \b(?P<owner>[a-zA-Z]\w*)(?P<chain>(?:\.[A-Z]\w*)+)                # result.EventID, kv.Bucket
    """,
    re.VERBOSE,
)
LITERAL = re.compile(r"(?P<slice>\[\])?ironflow\.(?P<type>\w+)(?:\[\w+\])?\{")
FIELD = re.compile(r"(?<!// )\b([A-Z]\w*):(?!=)")
STRUCT = re.compile(r"type (Context) struct \{(.*?)\}")
INTERFACE = re.compile(r"type (Logger) interface \{(.*?)\}")
TABLE = re.compile(r"“(\w+)”\|? ?Field \|.*\n\|?---.*\n((?:\w+ \| .*\n)+)")
LISTED = re.compile(r"\bctx\.(\w+) // [^()\n]*\((\w+(?:, \w+)*)\)")
SETTING = re.compile(r"^(IRONFLOW_\w+|Default\w+) \|", re.MULTILINE)


def symbols(page: str) -> list[str]:
    """Return every symbol of the page once, sorted."""
    code = readable(page)
    found = {*SETTING.findall(code), *declared(code), *literals(code), *seen(code)}
    return sorted(found)


def readable(page: str) -> str:
    """Return the page with glued words parted and the contents of strings removed."""
    page = re.sub(r"(\S)([A-Z][^\n]*)\n(?=Section titled “\2”)", r"\1\n\2\n", page)
    for glued, parted in GLUED.items():
        page = page.replace(glued, parted)
    page = re.sub(r'"[^"\n]*"|`[^`\n]*`', '""', page)
    glued_before = "|".join(["ironflow", "ctx", *RECEIVERS])
    return re.sub(rf"(?<=[a-zA-Z])(?=(?:{glued_before})\.[A-Z])", "\n", page)


def declared(code: str) -> Iterator[str]:
    """Yield the fields and methods that the page declares: structs, interfaces, tables, lists."""
    for owner, body in STRUCT.findall(code):
        yield from (f"{owner}.{field}" for field in re.findall(r"(\w+) \w+ //", body))
        for field, parts in re.findall(r"(\w+) \w+ // [^()/]*\((\w+(?:, \w+)*)\)", body):
            yield from (f"{owner}.{field}.{part}" for part in parts.split(", "))
    for owner, body in INTERFACE.findall(code):
        yield from (f"{owner}.{method}" for method in re.findall(r"(\w+)\(", body))
    for owner, rows in TABLE.findall(code):
        yield from (f"{owner}.{field}" for field in re.findall(r"^(\w+) \|", rows, re.MULTILINE))
    for field, parts in LISTED.findall(code):
        yield from (f"HandlerContext.{field}.{part}" for part in parts.split(", "))


def literals(code: str) -> Iterator[str]:
    """Yield the fields set in composite literals; elements of a slice may leave out their type."""
    for literal in LITERAL.finditer(code):
        wanted = 2 if literal["slice"] else 1
        for field in fields_at(code, literal.end(), wanted):
            yield f"{literal['type']}.{field}"


def fields_at(code: str, start: int, wanted: int) -> Iterator[str]:
    """Yield the field names at brace depth `wanted` of the literal whose body begins at `start`."""
    depth, position = 1, start
    while depth:
        if code[position] in "{}":
            depth += 1 if code[position] == "{" else -1
        elif depth == wanted and (field := FIELD.match(code, position)):
            yield field.group(1)
        position += 1


def seen(code: str) -> Iterator[str]:
    """Yield what is named, called and read, following which variable holds what."""
    holds: dict[str, str | None] = dict(RECEIVERS)
    for sighting in SIGHTING.finditer(code):
        if call := sighting["call"]:
            callee = owned(call, holds)
            holds[sighting["result"]] = RECEIVERS.get(sighting["result"], f"{callee}()")
            yield callee
        elif many := sighting["many"]:
            source = owned(many.removesuffix("()"), holds)
            calls = "()" if many.endswith("()") else ""
            holds[sighting["each"]] = f"{source}{calls}[]"
            yield from [source] if "." in many else []
        elif kind := sighting["type"]:
            holds[sighting["typed"]] = RECEIVERS.get(sighting["typed"], kind)
            yield kind
        elif plain := sighting["plain"]:
            holds[plain] = None
        elif name := sighting["name"]:
            yield from steps("", name)
        elif owner := holds.get(sighting["owner"]):
            yield from steps(f"{owner}.", sighting["chain"][1:])


def owned(expression: str, holds: dict[str, str | None]) -> str:
    """Return `client.Emit`, `result.Runs` or `buckets` with the variable's type in its place."""
    owner, _, name = expression.partition(".")
    if owner == "ironflow":
        return name
    return f"{holds[owner]}.{name}" if name else str(holds[owner])


def steps(prefix: str, chain: str) -> Iterator[str]:
    """Yield `Event` and `Event.Data` of the chain `Event.Data`."""
    names = chain.split(".")
    yield from (prefix + ".".join(names[:count]) for count in range(1, len(names) + 1))


if __name__ == "__main__":
    print("\n".join(symbols(Path(sys.argv[1]).read_text())))
