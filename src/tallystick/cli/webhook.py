"""`tallystick webhook`: where channels are told what became of their payments and parts."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import new_path, refuse_existing, write_new
from tallystick.outcomes import endpoints, send
from tallystick.outcomes.endpoints import NewSecret
from tallystick.outcomes.model import Endpoint, EndpointState, Webhook
from tallystick.runtime import Millis

PRIVATE: Final = 0o600
LISTED_MAX: Final = 1_000  # dead webhooks
COLUMNS: Final = ("id", "channel_id", "url", "state", "reason", "created_at")
DEAD_COLUMNS: Final = ("id", "type", "subject", "endpoint_id", "tries", "last", "created_at")


class EndpointView(Struct, frozen=True, kw_only=True):
    """An endpoint as operators see it: never its secrets."""

    id: str
    channel_id: str
    url: str
    state: EndpointState
    reason: str | None
    created_at: Millis
    secret_file: str | None = None


class WebhookView(Struct, frozen=True, kw_only=True):
    """A webhook that was given up, or is sent again; `last` says how its last try ended."""

    id: str
    type: str
    subject: str
    endpoint_id: str
    state: str
    tries: int
    last: str | None
    created_at: Millis


secret_out = click.option(
    "--secret-out", type=new_path, required=True, help="A new file for the secret made here: whsec_ and base64."
)


@click.group(cls=Group, examples="tallystick webhook list")
def webhook() -> None:
    """Tell channels what became of their payments and parts, by signed webhooks."""


@webhook.command(
    "add",
    examples="""
    tallystick webhook add ch_2k5qz7mzv5c6hgk3u4xw2n7a4e https://shop.example/outcomes --secret-out shop.whsec
    """,
)
@click.argument("channel_id")
@click.argument("url")
@secret_out
@pass_app
def add(app: App, channel_id: str, url: str, secret_out: Path) -> None:
    """Register an endpoint of a channel.

    It gets a webhook for each change of a payment the channel created, and for the outcome of each part it sent. The
    secret that signs them is made here and written once.
    """
    refuse_existing(secret_out)

    async def work(desk: Office) -> NewSecret:
        return await endpoints.add(
            desk.store, desk.keyring, desk.clock, desk.randomness, channel_id=channel_id, url=url
        )

    _hand_over(app, app.at_desk(work), secret_out)


@webhook.command("list", examples="tallystick webhook list --json")
@pass_app
def list_(app: App) -> None:
    """List all endpoints."""
    found = app.at_desk(lambda desk: desk.store.read(lambda books: books.endpoints()), needs=operators.READ)
    app.show_all([view(each) for each in found], COLUMNS)


@webhook.command("rotate", examples="tallystick webhook rotate we_7d4k2m9x3r6n8j1h5g0f2s4a6w --secret-out shop-2.whsec")
@click.argument("endpoint_id")
@secret_out
@pass_app
def rotate(app: App, endpoint_id: str, secret_out: Path) -> None:
    """Make a new secret for an endpoint.

    For 24 hours each webhook is signed by both, so that the receiver can change over at any moment in between.
    """
    refuse_existing(secret_out)

    async def work(desk: Office) -> NewSecret:
        return await endpoints.rotate(desk.store, desk.keyring, desk.clock, desk.randomness, endpoint_id)

    _hand_over(app, app.at_desk(work), secret_out)


@webhook.command("disable", examples="tallystick webhook disable we_7d4k2m9x3r6n8j1h5g0f2s4a6w")
@click.argument("endpoint_id")
@pass_app
def disable(app: App, endpoint_id: str) -> None:
    """Send nothing more to an endpoint; what waits for it becomes a dead letter."""
    app.show(view(app.at_desk(lambda desk: endpoints.disable(desk.store, endpoint_id))))


@webhook.command("enable", examples="tallystick webhook enable we_7d4k2m9x3r6n8j1h5g0f2s4a6w")
@click.argument("endpoint_id")
@pass_app
def enable(app: App, endpoint_id: str) -> None:
    """Send webhooks to an endpoint again, of what happens from now on."""
    app.show(view(app.at_desk(lambda desk: endpoints.enable(desk.store, endpoint_id))))


@webhook.command("dead-letters", examples="tallystick webhook dead-letters --limit 5 --json")
@click.option("--limit", type=click.IntRange(1, LISTED_MAX), default=20, show_default=True)
@pass_app
def dead_letters(app: App, limit: int) -> None:
    """List webhooks that were given up, newest first; they are kept for 30 days."""
    found = app.at_desk(lambda desk: desk.store.read(lambda books: books.dead_webhooks(limit)), needs=operators.READ)
    app.show_all([_letter(each) for each in found], DEAD_COLUMNS)


@webhook.command("redeliver", examples="tallystick webhook redeliver evt_3f6n8j1h5g0d2s4a6w9k7m2x4r")
@click.argument("webhook_id")
@pass_app
def redeliver(app: App, webhook_id: str) -> None:
    """Send a dead letter again, under its old id; the platform that serves tries it for another day."""
    app.show(_letter(app.at_desk(lambda desk: send.redeliver(desk.store, webhook_id, desk.clock.now()))))


def view(endpoint: Endpoint, secret_file: Path | None = None) -> EndpointView:
    """Describe an endpoint without its secrets."""
    return EndpointView(
        id=endpoint.id,
        channel_id=endpoint.channel_id,
        url=endpoint.url,
        state=endpoint.state,
        reason=endpoint.reason,
        created_at=endpoint.created_at,
        secret_file=str(secret_file) if secret_file is not None else None,
    )


def _hand_over(app: App, made: NewSecret, path: Path) -> None:
    write_new(path, made.secret.reveal().encode(), PRIVATE)
    app.show(view(made.endpoint, path))


def _letter(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        type=webhook.type,
        subject=webhook.subject,
        endpoint_id=webhook.endpoint_id,
        state=webhook.state,
        tries=webhook.tries,
        last=webhook.last,
        created_at=webhook.first_at,
    )
