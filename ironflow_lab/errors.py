"""Every error this library raises, and the one table from a wire code to its class.

IronflowError
├── ApiError                      the server answered with an error, or could not be asked
│   ├── InvalidArgumentError      invalid_argument, out_of_range
│   ├── NotFoundError             not_found
│   ├── AlreadyExistsError        already_exists
│   ├── AbortedError              aborted: lost a compare-and-set; read again, then decide
│   │   └── StaleExecutionError   STALE_EXECUTION: another worker holds this run now
│   ├── FailedPreconditionError   failed_precondition
│   ├── PermissionDeniedError     permission_denied
│   ├── UnauthenticatedError      unauthenticated
│   ├── ResourceExhaustedError    resource_exhausted
│   ├── UnimplementedError        unimplemented: this server lacks the procedure or the option
│   ├── DeadlineExceededError     deadline_exceeded
│   ├── UnavailableError          unavailable, and every failure to reach the server
│   └── InternalError             internal, unknown, data_loss, canceled
├── GuardError                    the server is not local and the change was not allowed
├── WaitTimeoutError              what was waited for did not happen in time; it goes on
├── RunFailedError                the run that was waited for failed or was cancelled
├── ServerStartError              the embedded server could not be started or reached
├── CapsuleError                  a file is no capsule, is damaged, or is not to be overwritten
├── DefinitionError               a function, trigger, retry or duration is written wrongly
├── ForeignFrameError             `df.ironflow` on a DataFrame that no lab made
└── StepFailure                   raised inside a handler
    ├── StepError                 a step's body failed
    │   └── StepTimeoutError      it took longer than its timeout
    ├── InvokeError               a function started by `step.invoke` failed or took too long
    ├── NonRetryableError         raise it to fail the run without another attempt
    ├── RetryAfterError           raise it to choose the delay before the next attempt
    ├── GateError                 replayed code would have had an effect: a connection, a file, a process
    └── PayloadError              a step or a handler took or returned something that is not JSON

IronflowWarning, a `UserWarning`, is no error: it tells what a handler does that is rarely meant.
"""

from __future__ import annotations

from typing import Any


class IronflowError(Exception):
    """Root of the tree; its message names the remedy."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the lines of the cell, the class and the message.

        IPython asks for it by this name. Frames of this and other libraries say nothing that the
        message does not; outside a notebook the usual traceback stays.
        """
        # Imported here: `import ironflow_lab` is to cost next to nothing.
        import linecache
        import traceback

        lines: list[str] = []
        for frame, number in traceback.walk_tb(self.__traceback__):
            if frame.f_globals.get("__name__") == "__main__":
                text = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()
                # The line of a cell magic holds its whole cell.
                text = text if len(text) <= 160 else f"{text[:160]}…"
                lines.append(f"line {number}: {text}" if text else f"line {number}")
        return [*lines, f"\x1b[31m{type(self).__name__}\x1b[0m: {self}"]


class IronflowWarning(UserWarning):
    """What a handler does that is allowed and rarely meant; the message says what to write instead."""


class ApiError(IronflowError):
    """A server's refusal.

    `code` is the wire code, `retryable` whether the same call may succeed later, `retry_after` the
    wait in seconds the server asked for (None when it named none), `status` the HTTP status (0 when
    no answer arrived), `reason` the word of the header `Ironflow-Error-Reason` ("" for none).
    Protocol: rpc.md section 3, rest.md section 2.
    """

    code = "unknown"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int = 0,
        retryable: bool = False,
        retry_after: float | None = None,
        details: tuple[Any, ...] = (),
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after
        self.details = details
        self.reason = reason


class InvalidArgumentError(ApiError):
    """The request is wrong as sent."""

    code = "invalid_argument"


class NotFoundError(ApiError):
    """No such run, function, worker or other thing on this server."""

    code = "not_found"


class AlreadyExistsError(ApiError):
    """The name is taken, or an identical change was just accepted."""

    code = "already_exists"


class AbortedError(ApiError):
    """A compare-and-set was lost: read again, then decide.

    Of an injection, `reason` "injection_unverified" says that the output was written but the run moved
    meanwhile; "contended" and "" say that nothing was.
    """

    code = "aborted"


class StaleExecutionError(AbortedError):
    """The fence sent with a worker message is not the run's current one."""


class FailedPreconditionError(ApiError):
    """The thing is not in a state that allows the call."""

    code = "failed_precondition"


class PermissionDeniedError(ApiError):
    """The key lacks the right, or belongs to another environment."""

    code = "permission_denied"


class UnauthenticatedError(ApiError):
    """The API key is missing or unknown."""

    code = "unauthenticated"


class ResourceExhaustedError(ApiError):
    """A rate or capacity limit; `retry_after` says when to try again."""

    code = "resource_exhausted"


class UnimplementedError(ApiError):
    """This server does not have the procedure or option."""

    code = "unimplemented"


class DeadlineExceededError(ApiError):
    """The deadline passed before the server answered."""

    code = "deadline_exceeded"


class UnavailableError(ApiError):
    """The server could not be reached or is not ready."""

    code = "unavailable"


class InternalError(ApiError):
    """The server failed in a way it does not explain."""

    code = "internal"


class GuardError(IronflowError):
    """The server is not local and this change has not been allowed."""


class WaitTimeoutError(IronflowError):
    """The wait ended first; what was waited for goes on."""


class RunFailedError(IronflowError):
    """A run that was waited for ended `failed` or `cancelled`."""


class ServerStartError(IronflowError):
    """The embedded server could not be started, reached or stopped."""


class CapsuleError(IronflowError):
    """A file is no capsule, is damaged or too new, or holds another run and is not to be overwritten."""


class DefinitionError(IronflowError, ValueError):
    """A function, trigger, retry, duration or instant is written wrongly."""


class ForeignFrameError(IronflowError, AttributeError):
    """`df.ironflow` does not fit this DataFrame (pandas expects an AttributeError then)."""


class StepFailure(IronflowError):
    """What a handler or a step raises to end the segment; `code` and `retryable` go on the wire."""

    code = "ERROR"
    retryable = True
    retry_after_ms: int | None = None


class StepError(StepFailure):
    """A step's body failed and the handler did not catch it.

    `step_id` is the step's id in the run, `step_name` the name it was called by, `__cause__` what the
    body raised.
    """

    code = "STEP_FAILED"
    step_id: str
    step_name: str

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = True,
        retry_after_ms: int | None = None,
        step_id: str = "",
        step_name: str = "",
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.step_id = step_id
        self.step_name = step_name


class StepTimeoutError(StepError):
    """A step's body took longer than its timeout; `timeout` is in seconds."""

    code = "STEP_TIMEOUT"

    def __init__(self, message: str, *, step_id: str = "", step_name: str = "", timeout: float = 0.0) -> None:
        super().__init__(message, step_id=step_id, step_name=step_name)
        self.timeout = timeout


class InvokeError(StepFailure):
    """A function that was invoked failed, was cancelled or took too long; its run is not started again.

    `function_id` names the function, `child_run_id` its run (empty when none was started).
    """

    code = "INVOKE_FAILED"
    retryable = False

    def __init__(self, message: str, *, function_id: str = "", child_run_id: str = "") -> None:
        super().__init__(message)
        self.function_id = function_id
        self.child_run_id = child_run_id


class NonRetryableError(StepFailure):
    """Raise it in a step or a handler to fail the run without another attempt."""

    code = "NON_RETRYABLE"
    retryable = False

    def __init__(self, message: str, *, code: str = "NON_RETRYABLE") -> None:
        super().__init__(message)
        self.code = code


class RetryAfterError(StepFailure):
    """Raise it to choose the delay before the next attempt.

    `delay` is in seconds; the server caps it at the function's longest delay.
    """

    code = "RETRY_AFTER"

    def __init__(self, message: str, *, delay: float) -> None:
        super().__init__(message)
        self.retry_after_ms = max(0, round(delay * 1000))


class GateError(StepFailure):
    """Code that is replayed would have had an effect between its steps; it had none.

    The replay names it also when the code catches this error.
    """

    code = "GATE"
    retryable = False


class PayloadError(StepFailure):
    """A step or a handler took or returned something that cannot be written as JSON."""

    code = "SERIALIZATION_ERROR"
    retryable = False


def is_retryable(error: BaseException) -> bool:
    """Return whether the same may succeed when it is tried again.

    Where a handler raises one that is, its run has another attempt while the budget lasts. Errors of other
    libraries are, those of a group when every one is; of an `ApiError` the server has said it; a wrong
    definition and a refusal of the guard are not.
    """
    if isinstance(error, StepFailure | ApiError):
        return error.retryable
    if isinstance(error, BaseExceptionGroup):
        return all(is_retryable(one) for one in error.exceptions)
    return not isinstance(error, DefinitionError | GuardError)


BY_CODE: dict[str, type[ApiError]] = {
    "aborted": AbortedError,
    "already_exists": AlreadyExistsError,
    "canceled": InternalError,
    "data_loss": InternalError,
    "deadline_exceeded": DeadlineExceededError,
    "failed_precondition": FailedPreconditionError,
    "internal": InternalError,
    "invalid_argument": InvalidArgumentError,
    "not_found": NotFoundError,
    "out_of_range": InvalidArgumentError,
    "permission_denied": PermissionDeniedError,
    "resource_exhausted": ResourceExhaustedError,
    "STALE_EXECUTION": StaleExecutionError,
    "unauthenticated": UnauthenticatedError,
    "unavailable": UnavailableError,
    "unimplemented": UnimplementedError,
    "unknown": InternalError,
}
