"""Certificates of an outside authority by ACME (RFC 8555), for the platform's listeners: account, order, http-01.

The library is synchronous: every step of it runs in a worker thread, so that nothing waits on the event loop. It is the
optional extra `tallystick[acme]`.
"""

import asyncio
import datetime as dt
import ipaddress
from pathlib import Path
from typing import Any, Final, Protocol

from acme import challenges, client, crypto_util, errors, messages
from josepy.jwa import ES256
from josepy.jwk import JWK

from tallystick.adapters.ca_files import PRIVATE, write_whole
from tallystick.crypto.tls import check_private
from tallystick.crypto.x509 import new_private_key
from tallystick.errors import Misconfigured, Unavailable
from tallystick.runtime import Millis

ANSWER_S: Final = 15  # s for one answer of the server
ORDER_S: Final = 120.0  # s for the whole of an order; the server looks for our answers in it
AGENT: Final = "tallystick"
DIRECTORY_MODE: Final = 0o700


class Answers(Protocol):
    """Where the authority's server finds our answers: `http://<name>/.well-known/acme-challenge/<token>`."""

    def put(self, token: str, answer: str) -> None:
        """Answer one challenge from now on."""
        ...

    def drop(self, token: str) -> None:
        """Answer it no more."""
        ...


class AcmeCertifier:
    """Have an ACME server certify the platform's host names (`channels.ports.Certifier`).

    The account's key is made once and kept in `directory`; the account is found by it (RFC 8555 section 7.3.1).
    """

    def __init__(
        self, url: str, answers: Answers, directory: Path, *, contact: str | None = None, ca: Path | None = None
    ) -> None:
        """Take the server's directory address, a mail address for it, and who certified the server itself (PEM)."""
        self._url = url
        self._answers = answers
        self._key = directory / "account.key"
        self._contact = contact
        self._ca = ca

    async def certify(self, key_pem: bytes, names: tuple[str, ...], now: Millis) -> bytes:  # noqa: ARG002 - the port's
        """Order a certificate and return its chain.

        1. The account is there: one is opened under our key when there is none, and the server's terms are agreed to.
        2. Each name is proven by http-01: answers stand from before the server is told to look until the order ends.
        3. The order is finalized with a request that names the hosts alone.

        Raises Unavailable when the server does not issue: the caller tries again later. What it returned is checked by
        `channels.own.renew`.
        """
        csr = _request(key_pem, names)
        tokens: list[str] = []
        try:
            async with asyncio.timeout(ORDER_S):
                # 1.
                server, key = await asyncio.to_thread(self._account)
                order = await asyncio.to_thread(server.new_order, csr)
                # 2.
                chosen = [_http_01(authorization) for authorization in order.authorizations]
                for challenge in chosen:
                    token = challenge.chall.encode("token")
                    tokens.append(token)
                    self._answers.put(token, challenge.chall.validation(key))
                # 3.
                return await asyncio.to_thread(_finish, server, key, order, chosen)
        except Misconfigured:
            raise
        except Exception as failure:  # noqa: BLE001 - the libraries below share no base: whatever it is, nothing was issued
            raise Unavailable(f"the ACME server did not issue: {_words(failure)}") from None
        finally:
            for token in tokens:
                self._answers.drop(token)

    def _account(self) -> tuple[client.ClientV2, JWK]:
        key = JWK.load(self._account_key())
        network = client.ClientNetwork(key, alg=ES256, user_agent=AGENT, timeout=ANSWER_S)
        network.session.trust_env = False  # no proxy, no netrc
        if self._ca is not None:
            network.verify_ssl = str(self._ca)  # type: ignore[assignment]  # it is what `requests` calls verify
        server = client.ClientV2(client.ClientV2.get_directory(self._url, network), network)
        wanted = messages.NewRegistration.from_data(email=self._contact, terms_of_service_agreed=True)
        try:
            server.new_account(wanted)
        except errors.ConflictError as known:
            network.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
        return server, key

    def _account_key(self) -> bytes:
        if not self._key.exists():
            self._key.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            write_whole(self._key, new_private_key(), PRIVATE)
        check_private(self._key)
        return self._key.read_bytes()


def _request(key_pem: bytes, names: tuple[str, ...]) -> bytes:
    """Make a request without a subject: a server would want a common name proven as one name more."""
    addresses = [found for each in names if (found := _address(each)) is not None]
    return crypto_util.make_csr(key_pem, [each for each in names if _address(each) is None], ipaddrs=addresses)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _http_01(authorization: Any) -> messages.ChallengeBody:
    for each in authorization.body.challenges:
        if isinstance(each.chall, challenges.HTTP01):
            found: messages.ChallengeBody = each
            return found
    raise Misconfigured("the ACME server offers no http-01 challenge for a name")


def _finish(server: client.ClientV2, key: JWK, order: Any, chosen: list[messages.ChallengeBody]) -> bytes:
    for challenge in chosen:
        server.answer_challenge(challenge, challenge.chall.response(key))
    deadline = dt.datetime.now() + dt.timedelta(seconds=ORDER_S)  # noqa: DTZ005 - the library compares with a naive now
    chain: str = server.poll_and_finalize(order, deadline).fullchain_pem
    return chain.encode("ascii")


def _words(failure: Exception) -> str:
    """Name a failure by words of the library, never by the server's text."""
    match failure:
        case messages.Error() if failure.code is not None:
            return failure.code
        case errors.ValidationError():
            return "a name could not be proven"
        case _:
            return type(failure).__name__
