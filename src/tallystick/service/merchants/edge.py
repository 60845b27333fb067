"""The merchants' listener: who calls, with which right, how often; and how every answer and refusal is written."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.routing import Route, Router

from tallystick import limits
from tallystick.audit.acting import acting
from tallystick.channels.model import LimitKind
from tallystick.errors import Forbidden, MethodRefused, NotFound, TallystickError
from tallystick.path import Platform
from tallystick.runtime import new_id
from tallystick.service import problems
from tallystick.service.bearer import Bearers, bearer_token
from tallystick.service.handling import Endpoint, Response, network_of, read_body
from tallystick.service.merchants.call import Answer, Call, check_query, check_version, idempotency_key
from tallystick.service.merchants.desk import Handler
from tallystick.service.merchants.operations import OPERATIONS, Operation
from tallystick.wire.merchant import (
    API_VERSION,
    REPLAYED_HEADER,
    REQUEST_ID_HEADER,
    VERSION_HEADER,
    MerchantProblem,
)

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]
UNAUTHORIZED: Final = 401


class MerchantEdge:
    """The application behind the merchants' listener; `handlers` are by the names of `operations.OPERATIONS`."""

    def __init__(self, platform: Platform, bearers: Bearers, handlers: Mapping[str, Handler]) -> None:
        self._platform = platform
        self._bearers = bearers
        self._handlers = handlers

    def app(self) -> Router:
        """Return the ASGI application: an address for each path of `OPERATIONS`, and one for all others."""
        paths: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS:
            paths.setdefault(operation.path, {})[operation.method] = operation
        routes = [self._route(path, by_method) for path, by_method in paths.items()]
        return Router([*routes, self._route("/{unknown:path}", {})], redirect_slashes=False)

    def _route(self, path: str, by_method: Mapping[str, Operation]) -> Route:
        allow = {"allow": ", ".join(sorted(by_method))} if by_method else {}

        async def respond(request: Request) -> Response:
            try:
                operation = _find(by_method, request.method)
                call = await self._call(request, operation)
                with acting(call.owner):
                    answer = await self._handlers[operation.name](call)
            except Exception as error:  # noqa: BLE001 - the edge answers every failure, and says nothing about the unforeseen
                return self._refusal(error, allow if isinstance(error, MethodRefused) else {})
            return self._success(operation, answer)

        return Route(path, Endpoint(respond), methods=METHODS)

    async def _call(self, request: Request, operation: Operation) -> Call:
        """Read one request.

        1. Its address did not ask too often: TooMany, before any work.
        2. Its API key is one, with the scope that the operation needs: ApiKeyRefused, Forbidden.
        3. Its holder did not ask too often: TooMany.
        4. It is for this version, without unknown parameters: FieldInvalid.
        5. A POST has an Idempotency-Key, and a body within its bound: FieldInvalid, TooLarge.
        """
        # 1.
        self._platform.counter.count(LimitKind.CALLER, network_of(request))
        # 2.
        principal = await self._bearers.principal(request.headers.get("authorization"), operation.scope)
        if operation.test_only and principal.live:
            raise Forbidden("this is for keys of test mode: it would not be a test")
        # 3.
        self._platform.counter.count(LimitKind.HOLDER, principal.holder)
        # 4.
        check_version(request)
        check_query(request, operation)
        # 5.
        posts = operation.method == "POST"
        return Call(
            request=request,
            operation=operation,
            principal=principal,
            token=bearer_token(request.headers.get("authorization")),
            target=request.url.path,
            body=await read_body(request, limits.BODY_MAX) if posts else b"",
            key=idempotency_key(request) if posts else "",
            at=self._platform.clock.now(),
        )

    def _success(self, operation: Operation, answer: Answer) -> Response:
        lines = {REQUEST_ID_HEADER: new_id("req", self._platform.randomness)}
        if operation.method == "POST":
            lines[REPLAYED_HEADER] = "true" if answer.again else "false"
        if answer.stream is not None:
            return _response(200, EVENT_STREAM, lines, answer)
        return _response(operation.status, JSON, lines, answer)

    def _refusal(self, error: Exception, more: Mapping[str, str]) -> Response:
        document = problems.failure(error, self._platform.randomness)
        shown = MerchantProblem(
            type=document.type,
            title=document.title,
            status=document.status,
            code=document.code,
            detail=document.detail,
            remedy=document.remedy,
            request_id=document.request_id,
            param=error.field if isinstance(error, TallystickError) else None,
        )
        lines = {REQUEST_ID_HEADER: document.request_id, **problems.retry_after(error), **more}
        if document.status == UNAUTHORIZED:
            lines["www-authenticate"] = 'Bearer realm="tallystick"'
        return _response(document.status, problems.MEDIA_TYPE, lines, Answer(msgspec.json.encode(shown)))


def _find(by_method: Mapping[str, Operation], method: str) -> Operation:
    if not by_method:
        raise NotFound("nothing is at this address")
    if method not in by_method:
        raise MethodRefused("this address does not take this method")
    return by_method[method]


def _response(status: int, media_type: str, more: Mapping[str, str], answer: Answer) -> Response:
    lines = {"content-type": media_type, "cache-control": "no-store", VERSION_HEADER: API_VERSION, **more}
    if answer.stream is None:
        lines["content-length"] = str(len(answer.body))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
    return Response(status, raw, answer.body, answer.stream)
