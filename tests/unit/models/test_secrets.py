"""A secret's value is in no representation."""

from __future__ import annotations

import pytest
from rich.pretty import pretty_repr

from ironflow_lab.models.secrets import CreateSecretRequest, Hidden, PatchSecretRequest, UpdateSecretRequest
from ironflow_lab.wire import codec
from ironflow_lab.wire.message import Private, Request

VALUE = "sk_live_1234"


def test_a_hidden_text_is_a_text_that_shows_stars() -> None:
    assert Hidden(VALUE) == VALUE
    assert (repr(Hidden(VALUE)), repr(Hidden(""))) == ("'***'", "''")
    assert type(str(Hidden(VALUE))) is str, "what is written as JSON is a plain text"


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (
            CreateSecretRequest(name="KEY", value=VALUE, description="d"),
            "CreateSecretRequest(name='KEY', value='***', description='d')",
        ),
        (UpdateSecretRequest(value=VALUE), "UpdateSecretRequest(value='***', description=None)"),
        (UpdateSecretRequest(), "UpdateSecretRequest(value='', description=None)"),
    ],
)
def test_requests_show_everything_but_the_value(record: CreateSecretRequest | UpdateSecretRequest, shown: str) -> None:
    assert repr(record) == pretty_repr(record, max_width=200) == shown
    assert codec.decode(codec.encode(record), type(record)) == record


def test_what_is_not_given_is_not_sent() -> None:
    assert codec.encode(PatchSecretRequest(description="")) == b'{"description":""}'
    assert codec.encode(PatchSecretRequest(name="B")) == b'{"name":"B"}'
    assert codec.encode(UpdateSecretRequest(value="v")) == b'{"value":"v"}'


def test_a_private_body_is_sent_and_not_shown() -> None:
    request = Request(method="POST", path="/", body=Private(b"sk_live_1234"))
    assert request.body == b"sk_live_1234"
    assert "sk_live" not in repr(request)
    assert "<12 private bytes>" in repr(request)
