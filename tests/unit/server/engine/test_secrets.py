"""Secrets: what may be kept, what each change writes, and that no answer has a value."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import (
    AlreadyExistsError,
    ApiError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.secrets import (
    CreateSecretRequest,
    PatchSecretRequest,
    SecretInfo,
    UpdateSecretRequest,
)
from ironflow_lab.server.engine import secrets
from ironflow_lab.server.engine.commands import CreateSecret, DeleteSecret, PatchSecret, UpdateSecret
from ironflow_lab.server.engine.outcome import Outcome
from ironflow_lab.server.engine.secrets import (
    LARGEST_VALUE,
    LONGEST_DESCRIPTION,
    MOST_SECRETS,
    KeptSecrets,
    SecretState,
)
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, only

VALUE = "sk_live_1234"
KEPT = SecretState(
    name="STRIPE_KEY", revision=3, description="payments", created_at=NOW - 9 * SECOND, updated_at=NOW - SECOND
)
KNOWN = KeptSecrets(found=KEPT, count=7)
NONE = KeptSecrets()
IDS = CountingIds()


def created(state: KeptSecrets = NONE, **fields: Any) -> Outcome:
    request = CreateSecretRequest(**{"name": "STRIPE_KEY", "value": VALUE, **fields})
    return secrets.create(state, CreateSecret(env=ENV, request=request), NOW, IDS)


def updated(state: KeptSecrets = KNOWN, **fields: Any) -> Outcome:
    command = UpdateSecret(env=ENV, name="STRIPE_KEY", request=UpdateSecretRequest(**{"value": VALUE, **fields}))
    return secrets.update(state, command, NOW, IDS)


def patched(state: KeptSecrets = KNOWN, **fields: Any) -> Outcome:
    command = PatchSecret(env=ENV, name="STRIPE_KEY", request=PatchSecretRequest(**fields))
    return secrets.patch(state, command, NOW, IDS)


def deleted(state: KeptSecrets = KNOWN) -> Outcome:
    return secrets.delete(state, DeleteSecret(env=ENV, name="STRIPE_KEY"), NOW, IDS)


def test_a_new_secret() -> None:
    outcome = created(description="payments")
    info = SecretInfo(
        name="STRIPE_KEY", revision=1, description="payments", created_at=Instant(NOW), updated_at=Instant(NOW)
    )
    assert outcome.answer == info
    assert only(outcome, "insert_secret") == {
        "env": ENV,
        "name": "STRIPE_KEY",
        "value": VALUE,
        "description": "payments",
        "revision": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }


def test_a_new_value_is_a_new_revision_and_keeps_the_description() -> None:
    outcome = updated()
    assert (outcome.answer.revision, outcome.answer.description) == (4, "payments")
    assert (outcome.answer.created_at, outcome.answer.updated_at) == (KEPT.created_at, NOW)
    written = only(outcome, "renew_secret")
    assert (written["name"], written["value"], written["revision"]) == ("STRIPE_KEY", VALUE, 4)
    assert updated(description="").answer.description == ""
    assert only(updated(description="new"), "renew_secret")["description"] == "new"


def test_renaming_and_describing_leave_value_and_revision() -> None:
    outcome = patched(name="PAY_KEY")
    assert (outcome.answer.name, outcome.answer.revision, outcome.answer.description) == ("PAY_KEY", 3, "payments")
    written = only(outcome, "describe_secret")
    assert (written["former"], written["name"]) == ("STRIPE_KEY", "PAY_KEY")
    assert "value" not in written
    described = patched(description="")
    assert (described.answer.name, described.answer.description) == ("STRIPE_KEY", "")
    assert described.answer.updated_at == NOW


def test_a_patch_that_changes_nothing_writes_nothing() -> None:
    assert patched(name="STRIPE_KEY", description="payments") == Outcome(secrets.describe(KEPT))


def test_deleting() -> None:
    assert only(deleted(), "delete_secret") == {"env": ENV, "name": "STRIPE_KEY"}


def test_a_change_is_later_than_the_last_one_whatever_the_clock_says() -> None:
    ahead = msgspec.structs.replace(KEPT, updated_at=NOW + SECOND)
    for change in (updated(KeptSecrets(found=ahead)), patched(KeptSecrets(found=ahead), name="B")):
        assert change.answer.updated_at == NOW + SECOND + 1


@pytest.mark.parametrize("change", [updated, patched, deleted])
def test_what_is_not_kept_is_not_found(change: Any) -> None:
    with pytest.raises(NotFoundError, match="no secret 'STRIPE_KEY'"):
        change(KeptSecrets())


def test_one_name_one_secret() -> None:
    with pytest.raises(AlreadyExistsError, match="'STRIPE_KEY' is kept already"):
        created(KNOWN)
    with pytest.raises(AlreadyExistsError, match="'TAKEN' is kept already"):
        patched(msgspec.structs.replace(KNOWN, taken=True), name="TAKEN")


@pytest.mark.parametrize("name", ["", " ", "a b", "a.b", "a/b", "größe", "a*", "KEY\n", "x" * 256, "\x00"])
def test_a_name_that_cannot_be(name: str) -> None:
    for change in (created, patched):
        with pytest.raises(InvalidArgumentError, match="1 to 255 letters"):
            change(name=name)


@pytest.mark.parametrize("name", ["K", "stripe-key_2", "0", "x" * 255])
def test_a_name_that_can_be(name: str) -> None:
    assert created(name=name).answer.name == name


def test_limits() -> None:
    assert created(value="é" * (LARGEST_VALUE // 2), description="x" * LONGEST_DESCRIPTION).answer.revision == 1
    for change in (created, updated):
        with pytest.raises(InvalidArgumentError, match="at most 65,536 bytes"):
            change(value="é" * (LARGEST_VALUE // 2) + "x")
        with pytest.raises(InvalidArgumentError, match="a value that is not empty"):
            change(value="")
    for described in (created, updated, patched):
        with pytest.raises(InvalidArgumentError, match="2,000 characters"):
            described(description="x" * (LONGEST_DESCRIPTION + 1))
    assert created(KeptSecrets(count=MOST_SECRETS - 1)).writes
    with pytest.raises(FailedPreconditionError, match="1,000 secrets are kept already"):
        created(KeptSecrets(count=MOST_SECRETS))


def test_a_patch_of_nothing_says_what_it_can_do() -> None:
    with pytest.raises(InvalidArgumentError, match="give a name or a description"):
        patched()


def test_no_representation_and_no_error_has_the_value() -> None:
    long = VALUE * 9_000
    shown = [repr(created()), repr(updated())]
    shown += [repr(command) for command in (CreateSecret(env=ENV, request=CreateSecretRequest(name="A", value=VALUE)),)]
    for attempt, fields in ((created, {"state": KNOWN}), (created, {"value": long}), (updated, {"value": long})):
        with pytest.raises(ApiError) as refusal:
            attempt(**fields)
        shown.append(repr(refusal.value) + str(refusal.value))
    assert not [text for text in shown if VALUE in text]
