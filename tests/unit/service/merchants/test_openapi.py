"""The OpenAPI document is the code's own, and the listener does what it says, whatever is sent."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from merchant_world import merchant_world
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tallystick.service.merchants.openapi import document
from tallystick.service.merchants.operations import OPERATIONS

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "openapi.json"
SCHEMA = openapi.from_dict({**document(), "security": []})  # keys are tried in test_merchant_api.py
BY_NAME = {each.ok().definition.raw["operationId"]: each.ok() for each in SCHEMA.get_all_operations()}
EXCLUDED = [
    not_a_server_error,  # 503 is what a closed stream answers
    positive_data_acceptance,  # which policies and cursors there are, no schema tells
]
BOTH = [(name, mode) for name in sorted(BY_NAME) for mode in GenerationMode]
BREAKABLE = {each.name for each in OPERATIONS if each.query or each.content}
EXAMPLES = 15  # requests of each operation and mode


def test_the_document_in_the_repository_is_the_codes_own() -> None:
    """When this fails: python tools/openapi.py."""
    assert msgspec.json.decode(msgspec.json.encode(document())) == msgspec.json.decode(PAGE.read_bytes())


def test_the_document_names_every_operation_once() -> None:
    assert sorted(each.name for each in OPERATIONS) == sorted(BY_NAME)
    assert "3.1.0" == document()["openapi"]


async def served(case: Any) -> httpx2.Response:
    """Send what schemathesis made to a listener with one payment; streams are refused, since they would go on."""
    world = await merchant_world()
    key = await world.key()
    created = await world.create(key)
    world.feed.close()
    if "id" in (case.path_parameters or {}) and world.memory.randomness.below(2):
        case.path_parameters["id"] = created["id"]
    sent = case.as_transport_kwargs(base_url="https://platform")
    sent = {
        name: sent[name]
        for name in ("method", "url", "headers", "params", "json", "data")
        if sent.get(name) is not None
    }
    sent["headers"] = {**sent.get("headers", {}), "authorization": f"Bearer {key}"}
    if "data" in sent:
        sent["content"] = sent.pop("data")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(world.app, raise_app_exceptions=True)) as client:
        return await client.request(**sent)


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name, mode in BOTH if mode is GenerationMode.POSITIVE or name in BREAKABLE]
)
def test_the_listener_answers_as_the_document_says_whatever_is_sent(name: str, mode: GenerationMode) -> None:
    cases: st.SearchStrategy[Any] = BY_NAME[name].as_strategy(generation_mode=mode)

    @given(case=cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        response = asyncio.run(served(case))
        assert response.status_code == 503 or response.status_code < 500
        assert response.headers["request-id"].startswith("req_")
        case.validate_response(response, excluded_checks=EXCLUDED)

    run()
