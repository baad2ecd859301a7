"""Where a replay stands, in a terminal and in a kernel without a debugger, and what it says when it does not.

That it stands under a notebook's debugger is tested in a real kernel.
"""

from __future__ import annotations

import asyncio
import io
import sys
from types import FrameType
from typing import Any

import pytest

from ironflow_lab.debug import breaks, gate
from ironflow_lab.debug.breaks import NO_DEBUGGER, REFUSED, SWITCHED_OFF, Stopper, stopper
from ironflow_lab.debug.calls import Call
from ironflow_lab.errors import DefinitionError, StepError
from ironflow_lab.kernel import debugger, session


def call(label: str, name: str = "") -> Call:
    return Call(step_id=f"id_{label}", label=label, name=name or label, kind="run")


def made(break_at: object) -> Stopper:
    found = stopper(break_at)
    assert found is not None
    return found


class Hook:
    """A breakpoint hook of the user's: remembers the frame that called it."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.locals: list[dict[str, Any]] = []
        self.gates: list[object] = []
        self.during = list[float]()
        self.stop: Stopper | None = None

    def __call__(self, *_: object) -> None:
        caller = sys._getframe(1)
        self.lines.append(caller.f_lineno)
        self.locals.append(dict(caller.f_locals))
        self.gates.append(gate.current())
        if self.stop is not None:
            self.during = [self.stop.seconds, self.stop.seconds]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Hook:
    found = Hook()
    monkeypatch.setattr(sys, "breakpointhook", found)
    return found


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Type these commands into the debugger."""
    monkeypatch.setattr(sys, "breakpointhook", sys.__breakpointhook__)
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    # pdb reads the user's files of commands.
    monkeypatch.setenv("HOME", "/nowhere")

    def type_in(*commands: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{command}\n" for command in commands)))

    return type_in


def user_line(stop: Stopper, *calls: Call, frame: FrameType | None = None) -> int:
    """Ask for steps as a handler does, and return the line that asked."""
    charged = 7
    for one in calls:
        stop(one, frame or sys._getframe())
    return sys._getframe().f_lineno - 1 if charged else 0


def test_nothing_asked_for_is_no_stopper() -> None:
    assert stopper(None) is None


@pytest.mark.parametrize("wrong", [7, "", [], ["charge", 3], {"": 1}, object()])
def test_other_things_than_names_are_refused(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match='takes names of steps or "error"'):
        stopper(wrong)


@pytest.mark.parametrize("name", ["charge:1", "charge", "id_charge:1"])
def test_a_step_is_met_by_label_name_and_id(name: str, hook: Hook) -> None:
    stop = made(name)
    user_line(stop, call("validate"), call("charge:1", "charge"))
    assert (stop.stops, len(hook.lines), stop.notes) == (1, 1, ())


def test_several_steps_are_met_each_time(hook: Hook) -> None:
    stop = made(iter(["charge", "ship", "charge"]))
    user_line(stop, call("charge:0", "charge"), call("validate"), call("charge:1", "charge"), call("ship"))
    assert (stop.stops, stop.wanted) == (3, ("charge", "ship"))
    assert repr(stop) == "Stopper('charge', 'ship', stops=3)"


def test_what_was_not_met_is_said_with_what_was_there(hook: Hook) -> None:
    stop = made(["chrage", "error"])
    user_line(stop, call("validate"), call("charge"))
    assert stop.notes == (
        "it did not stop at 'chrage': the code asked for 'validate', 'charge'",
        "it did not stop at an error: the handler raised none",
    )
    assert made("charge").notes == ("it did not stop at 'charge': the code asked for no step",)


def test_many_and_long_labels_are_cut() -> None:
    stop = made("x" * 500)
    for number in range(30):
        stop(call(f"{'y' * 500}{number}"), None)
    (note,) = stop.notes
    assert note.endswith(" and 22 more")
    assert len(note) < 800


def test_a_step_without_user_code_is_said(hook: Hook) -> None:
    stop = made("charge")
    stop(call("charge"), None)
    assert stop.notes == ("it did not stop at step 'charge': it is asked for by a task without your code",)
    assert hook.lines == []


# ---- the user's own hook


def test_a_hook_sees_the_users_line_and_locals_ungated(hook: Hook) -> None:
    stop = made("charge")
    with gate.enter(gate.Gate("the replay of run_1")):
        line = user_line(stop, call("charge"))
    assert hook.lines == [line]
    assert hook.locals[0]["charged"] == 7
    assert hook.gates == [None]


def test_the_time_it_stands_is_counted_while_it_stands(hook: Hook) -> None:
    hook.stop = stop = made("charge")
    assert stop.seconds == 0
    user_line(stop, call("charge"))
    assert 0 < hook.during[0] < hook.during[1] < stop.seconds
    assert stop.seconds == stop.seconds


# ---- pdb


def test_pdb_shows_the_line_and_steps_over_the_call(terminal: Any, capsys: Any) -> None:
    terminal("p charged", "n", "p output", "n", "p shipped", "c")
    stop = made("charge")

    async def step(one: Call, output: int) -> int:
        stop(one, sys._getframe(1))
        await asyncio.sleep(0)
        return output

    async def handler() -> int:
        charged = 7
        output = await step(call("charge"), 700)
        shipped = await step(call("ship"), charged + output)
        assert shipped
        return shipped

    before = sys.gettrace()
    try:
        assert asyncio.run(handler()) == 707
    finally:
        sys.settrace(before)
    shown = capsys.readouterr().out
    assert '-> output = await step(call("charge"), 700)' in shown
    assert '-> shipped = await step(call("ship"), charged + output)' in shown
    assert "-> assert shipped" in shown
    assert [line.removeprefix("(Pdb) ") for line in shown.splitlines() if line.startswith("(Pdb) 7")] == [
        "7",
        "700",
        "707",
    ]


def test_continuing_leaves_no_trace(terminal: Any) -> None:
    terminal("c")
    before = sys.gettrace()
    stop = made("charge")
    user_line(stop, call("charge"))
    assert sys.gettrace() is before
    assert stop.stops == 1


def test_quitting_ends_the_stops_and_not_the_replay(terminal: Any, capsys: Any) -> None:
    terminal("q")
    before = sys.gettrace()
    stop = made(["charge", "ship"])
    user_line(stop, call("charge"), call("ship"))
    assert (stop.stops, sys.gettrace()) == (1, before)


def test_breakpoints_that_are_switched_off_are_said(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    stop = made("charge")
    user_line(stop, call("charge"), call("charge"))
    assert (stop.stops, stop.notes) == (0, (SWITCHED_OFF,))


def test_an_error_is_shown_in_the_users_frame(terminal: Any, capsys: Any) -> None:
    terminal("p charged", "q")
    stop = made("error")

    def handler() -> None:
        charged = 7
        raise KeyError(charged)

    try:
        handler()
    except KeyError as error:
        stop.failed(error)
    shown = capsys.readouterr().out
    assert "-> raise KeyError(charged)" in shown
    assert "(Pdb) 7" in shown
    assert stop.notes == ()


def test_an_error_of_a_step_is_shown_at_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    stood: list[tuple[str, int]] = []

    def stand(frame: FrameType, error: BaseException) -> bool:
        stood.append((frame.f_code.co_name, frame.f_lineno))
        return True

    monkeypatch.setattr(debugger, "attached", lambda: True)
    monkeypatch.setattr(debugger, "stop_at_error", stand)
    space: dict[str, Any] = {"StepError": StepError}
    library = gate.__file__.replace("gate.py", "steps.py")
    exec(compile("def run():\n    raise StepError('declined')\n", library, "exec"), space)  # noqa: S102 - the text is ours

    def handler() -> None:
        space["run"]()

    stop = made("error")
    try:
        handler()
    except StepError as error:
        stop.failed(error)
    assert stood == [("handler", handler.__code__.co_firstlineno + 1)]


def test_an_error_without_user_code_is_said() -> None:
    stop = made("error")
    stop.failed(KeyError("x"))
    assert stop.notes == ("it did not stop at the error: no line of your code raised it",)


def test_errors_are_not_stopped_at_unasked(hook: Hook) -> None:
    stop = made("charge")
    user_line(stop, call("charge"))
    stop.failed(KeyError("x"))
    assert len(hook.lines) == 1


# ---- a kernel


def test_a_kernel_without_a_debugger_says_how_to_switch_it_on(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "in_kernel", lambda: True)
    stop = made("charge")
    user_line(stop, call("charge"), call("charge"))
    assert (stop.stops, stop.notes, hook.lines) == (0, (NO_DEBUGGER,), [])


def test_a_debugger_that_cannot_stop_is_said_and_the_replay_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: FrameType) -> bool:
        raise AttributeError("do_wait_suspend")

    monkeypatch.setattr(debugger, "attached", lambda: True)
    monkeypatch.setattr(debugger, "stop", refuse)
    stop = made("charge")
    user_line(stop, call("charge"), call("charge"))
    assert (stop.stops, stop.notes) == (0, (REFUSED.format("AttributeError"),))


def test_without_a_debugger_nothing_stands() -> None:
    assert not debugger.attached()
    assert not debugger.stop(sys._getframe())
    assert not debugger.stop_at_error(sys._getframe(), KeyError("x"))


def test_a_traceback_is_cut_after_the_frame() -> None:
    def inner() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError) as raised:
        inner()
    whole = raised.value.__traceback__
    assert whole is not None
    cut = debugger.until(whole, whole.tb_frame)
    assert cut is not None
    assert (cut.tb_frame, cut.tb_lineno, cut.tb_next) == (whole.tb_frame, whole.tb_lineno, None)
    assert whole.tb_next is not None
    full = debugger.until(whole, whole.tb_next.tb_frame)
    assert full is not None
    assert full.tb_next is not None
    assert breaks._raised_in(whole) is whole.tb_next.tb_frame
