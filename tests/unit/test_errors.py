"""The error tree: every leaf has a stable code of its own and says what to do; the drawn tree is the real one."""

import inspect
import re

import pytest

from tallystick import errors
from tallystick.errors import CredentialRefused, TallystickError


def all_errors() -> list[type[TallystickError]]:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TallystickError)]
    return sorted(kinds, key=lambda kind: kind.__name__)


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in all_errors()]
    assert sorted(set(codes)) == sorted(codes)


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_plain_code_and_a_remedy_in_words(kind: type[TallystickError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.remedy.endswith(".")
    assert kind.__doc__


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_the_drawn_tree_names_every_error(kind: type[TallystickError]) -> None:
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")


def test_a_refused_credential_has_a_reason_for_the_record() -> None:
    refusal = CredentialRefused("wrong_login")
    assert ("wrong_login", "credential_refused", None) == (refusal.reason, refusal.code, refusal.field)


def test_delivery_errors_are_not_answers_to_a_caller() -> None:
    assert not issubclass(errors.DeliveryError, errors.Refused)
    assert not issubclass(errors.NotSent, errors.OutcomeUnknown)
