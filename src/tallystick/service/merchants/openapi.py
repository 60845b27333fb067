"""The OpenAPI 3.1 document of the merchants' API, made of `operations.OPERATIONS` and the structs they name."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tallystick import limits
from tallystick.security.unseal import MEDIA_TYPE
from tallystick.security.verify import IDEMPOTENCY_HEADER
from tallystick.service.merchants.operations import OPERATIONS, Operation
from tallystick.service.problems import MEDIA_TYPE as PROBLEM
from tallystick.wire.merchant import (
    API_VERSION,
    REPLAYED_HEADER,
    REQUEST_ID_HEADER,
    VERSION_HEADER,
    MerchantProblem,
)

EVENT_STREAM: Final = "text/event-stream"
_ID: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_KEY: Final = {
    "name": IDEMPOTENCY_HEADER,
    "in": "header",
    "required": True,
    "description": "The same for every repeat of this request, and for nothing else.",
    "schema": {"type": "string", "pattern": f"^[!-~]{{1,{limits.IDEMPOTENCY_KEY_MAX}}}$"},
}
_SHOWN: Final = {
    REQUEST_ID_HEADER: {"description": "Quote it when you ask for help.", "schema": {"type": "string"}},
    VERSION_HEADER: {"description": "The version of this API.", "schema": {"type": "string"}},
}
_REPLAYED: Final = {
    REPLAYED_HEADER: {
        "description": "Whether this is the answer given before.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    }
}


def document(operations: Iterable[Operation] = OPERATIONS) -> dict[str, Any]:
    """Return the whole document as JSON data."""
    listed = list(operations)
    kinds = [kind for each in listed for kind in (each.content, each.answer) if kind is not None]
    _, schemas = msgspec.json.schema_components(
        [*dict.fromkeys(kinds), MerchantProblem], ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for each in listed:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallystick merchants' API",
            "version": API_VERSION,
            "description": "Create payments whose credential arrives in parts; a key alone never completes one.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "https://localhost:8445"}],
        "security": [{"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "tsk_live_…, tsk_test_…"}
            },
        },
    }


def _operation(each: Operation) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [_ID] if "{id}" in each.path else []
    parameters += [
        {"name": query.name, "in": "query", "required": False, "description": query.meaning, "schema": query.schema}
        for query in each.query
    ]
    described: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "description": f"Needs the scope `{each.scope.value}`{', and a key of test mode' if each.test_only else ''}.",
        "parameters": parameters,
        "responses": {str(each.status): _success(each), "default": _problem()},
    }
    if each.content is not None:
        described["parameters"] = [*parameters, _KEY]
        described["requestBody"] = {"required": True, "content": {MEDIA_TYPE: {"schema": _ref(each.content)}}}
    return described


def _success(each: Operation) -> dict[str, Any]:
    headers = {**_SHOWN, **(_REPLAYED if each.method == "POST" else {})}
    if each.stream:
        meaning = f"Server-sent events; the data of each is a {each.answer.__name__}, its id the cursor to go on from."
        return {"description": meaning, "headers": headers, "content": {EVENT_STREAM: {"schema": {"type": "string"}}}}
    return {"description": "Done.", "headers": headers, "content": {MEDIA_TYPE: {"schema": _ref(each.answer)}}}


def _problem() -> dict[str, Any]:
    return {
        "description": "A problem: nothing was changed.",
        "headers": _SHOWN,
        "content": {PROBLEM: {"schema": _ref(MerchantProblem)}},
    }


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
