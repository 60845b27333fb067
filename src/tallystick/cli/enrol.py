"""`tallystick enrol`: the side of a party that was invited (patent claim 33)."""

import asyncio
from pathlib import Path
from typing import Final

import click
import httpx2
from msgspec import Struct

from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.inputs import file_path, new_path, read_password, read_private, write_new
from tallystick.cli.output import Failure
from tallystick.crypto.ca import check_request
from tallystick.crypto.tls import client_context
from tallystick.sdk.client import TIMEOUT_S
from tallystick.sdk.enrol import enrol as send
from tallystick.sdk.enrol import new_request
from tallystick.secret import Secret
from tallystick.wire.enrolment import EnrolmentStatus

PRIVATE: Final = 0o600
DIRECTORY: Final = 0o700


class Enrolled(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a request stands; `certificate` is the file of the chain once it is issued."""

    request: str
    state: str
    uri: str
    key: str
    certificate: str | None = None


@click.command(
    "enrol",
    cls=Command,
    examples="""
    tallystick enrol --url https://platform.example:8444 --ca trust.pem --out shop
    tallystick enrol --url https://platform.example:8444 --ca trust.pem --token-file token --out shop
    """,
)
@click.option("--url", required=True, help="The platform's enrolment address.")
@click.option("--ca", type=file_path, required=True, help="The platform's trusted authorities (PEM).")
@click.option("--token-file", type=file_path, help="A private file with the token; without it, it is asked for.")
@click.option(
    "--out", type=new_path, required=True, help="The directory for private.key, request.csr, certificate.pem."
)
@pass_app
def enrol(app: App, url: str, ca: Path, token_file: Path | None, out: Path) -> None:
    """Ask a platform for a certificate with the token its operator gave you.

    The private key is made here and stays here. Read the key's digest to the operator, who compares it before
    approving. Run the same command again, with the same directory, until the state is issued.
    """
    token = read_password(token_file, "token")
    csr = _request(out)
    told = asyncio.run(_ask(url, ca, token, csr))
    certificate = out / "certificate.pem"
    if told.chain is not None and not certificate.exists():
        write_new(certificate, told.chain.encode())
    app.show(
        Enrolled(
            request=told.request,
            state=told.state,
            uri=told.uri,
            key=check_request(csr),
            certificate=str(certificate) if told.chain is not None else None,
        )
    )


def _request(directory: Path) -> bytes:
    """Return the request of a directory; a new one has a key and a request made in it."""
    request = directory / "request.csr"
    if directory.exists():
        if not request.exists():
            raise Failure(f"{directory.name} is there already and holds no request", "Name a new directory.")
        return read_private(request)
    made = new_request()
    directory.mkdir(DIRECTORY, parents=True)
    write_new(directory / "private.key", made.private_key, PRIVATE)
    write_new(request, made.csr, PRIVATE)
    return made.csr


async def _ask(url: str, ca: Path, token: Secret, csr: bytes) -> EnrolmentStatus:
    context = client_context(ca)
    async with httpx2.AsyncClient(base_url=url, verify=context, trust_env=False, timeout=TIMEOUT_S) as http:
        return await send(http, token, csr)
