"""What an operator does: register channels, institutions and users. Commands and the demo call these."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from tallystick.adapters.connectors.kinds import load_kinds
from tallystick.adapters.connectors.registry import ConnectorRecord, open_record, seal_record
from tallystick.audit.model import Action
from tallystick.bootstrap.office import Office
from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI
from tallystick.channels.model import Channel, ChannelKind, ChannelState, PinKey, PinScheme
from tallystick.crypto import ca
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.signing import Algorithm, load_public
from tallystick.delivery.books import Books
from tallystick.errors import FieldInvalid, Forbidden, Misconfigured, NotFound
from tallystick.routing import changes
from tallystick.routing.institutions import new_institution_id
from tallystick.routing.model import BackEnd, NumberPolicy, RouteChange, Status
from tallystick.routing.table import with_back_end
from tallystick.runtime import new_id
from tallystick.secret import Secret
from tallystick.security.verify import seal_sender_key
from tallystick.vault import keep, numbers, users
from tallystick.vault.model import Contact, Credential, Numbering
from tallystick.vault.numbers import Renewal


class NewChannel(Struct, frozen=True, kw_only=True):
    """A registered channel; `mac_key` is there once, for HMAC channels: hand it to the channel by a safe way."""

    channel: Channel
    mac_key: bytes | None


class NewInstitution(BackEnd, frozen=True, kw_only=True):
    """A back end just registered; `change` is the proposal by which it waits for a second operator, if it does."""

    change: str | None = None


async def add_channel(
    desk: Office,
    *,
    name: str,
    kind: ChannelKind,
    fields: frozenset[str],
    proves_payer: bool = False,
    public_key: bytes | None = None,
) -> NewChannel:
    """Register a channel with its own public key (PEM), or with a MAC key made here; AlreadyExists, FieldInvalid."""
    channel_id = new_id("ch", desk.randomness)
    mac_key = desk.randomness.token(KEY_BYTES) if public_key is None else None
    algorithm = Algorithm.HMAC_SHA256 if public_key is None else load_public(public_key).algorithm
    channel = Channel(
        id=channel_id,
        name=name,
        kind=kind,
        state=ChannelState.ACTIVE,
        fields=fields,
        proves_payer=proves_payer,
        algorithm=algorithm,
        sealed_key=seal_sender_key(desk.keyring, channel_id, public_key or mac_key or b""),
        created_at=desk.clock.now(),
    )
    await desk.store.transact(lambda books: books.add_channel(channel))
    return NewChannel(channel=channel, mac_key=mac_key)


async def set_channel_state(desk: Office, channel_id: str, state: ChannelState) -> Channel:
    """Suspend or resume a channel; raises NotFound."""

    async def change(books: Books) -> Channel:
        changed = structs.replace(await _channel(books, channel_id), state=state)
        await books.replace_channel(changed)
        return changed

    return await desk.store.transact(change)


async def add_pin_key(desk: Office, name: str, channel_id: str, scheme: PinScheme, key_block: str) -> PinKey:
    """Give a channel a PIN key that the PIN process wrapped; raises AlreadyExists for a name that was ever taken."""
    key = PinKey(name=name, channel_id=channel_id, scheme=scheme, key_block=key_block, created_at=desk.clock.now())
    await desk.store.transact(lambda books: books.add_pin_key(key))
    return key


async def find_channel(desk: Office, channel_id: str) -> Channel:
    """Find a channel; raises NotFound."""
    return await desk.store.read(lambda books: _channel(books, channel_id))


async def note_issue(desk: Office, uri: str) -> None:
    """Leave the audit entry of a certificate that is issued next; the authority keeps files, which leave none."""
    await desk.store.transact(lambda books: books.append(Action.CERTIFICATE_ISSUED, uri, outcome="begun"))


def issue_channel_certificate(desk: Office, channel_id: str, csr_pem: bytes) -> bytes:
    """Issue a channel's certificate chain from its CSR; the identity is the channel's id, whatever the CSR says."""
    uri = f"{CHANNEL_URI}{channel_id}"
    return desk.ca.issue(csr_pem, ca.CHANNEL, uri=uri, now=desk.clock.now())


def issue_back_end_certificate(desk: Office, institution: str, csr_pem: bytes, dns: tuple[str, ...]) -> bytes:
    """Issue a back end's certificate chain from its CSR."""
    uri = f"{INSTITUTION_URI}{institution}"
    return desk.ca.issue(csr_pem, ca.BACK_END, uri=uri, dns=dns, now=desk.clock.now())


async def add_institution(
    desk: Office,
    *,
    name: str,
    connector: str,
    schemes: frozenset[str],
    priority: int = 100,
    currencies: frozenset[str] = frozenset(),
    issuer: bool = False,
    sandbox: bool = False,
    numbers: NumberPolicy = NumberPolicy.NONE,
    renew_at: str = "04:00",
    zone: str = "UTC",
    in_flight_max: int = 256,
    per_second_max: int = 0,
    failures_max: int = 5,
    author: str = "setup",
) -> NewInstitution:
    """Register a back end under a new institution id; it is SUSPENDED until its connector is set (`set_connector`)."""

    async def add(books: Books) -> NewInstitution:
        table = await books.routing_table()
        back_end = BackEnd(
            id=new_institution_id(table, desk.randomness),
            name=name,
            connector=connector,
            schemes=schemes,
            priority=priority,
            currencies=currencies,
            issuer=issuer,
            sandbox=sandbox,
            numbers=numbers,
            renew_at=renew_at,
            zone=zone,
            in_flight_max=in_flight_max,
            per_second_max=per_second_max,
            failures_max=failures_max,
        )
        made = await changes.submit(
            books,
            with_back_end(table, back_end),
            change_id=new_id("rc", desk.randomness),
            author=author,
            note=f"institution {name} added",
            at=desk.clock.now(),
            four_eyes=desk.settings.routing.four_eyes,
        )
        change = made.id if isinstance(made, RouteChange) else None
        return NewInstitution(**structs.asdict(back_end), change=change)

    return await desk.store.transact(add)


async def set_connector(
    desk: Office, institution: str, settings: Mapping[str, object], sender_key: str | None = None
) -> BackEnd:
    """Check and seal a back end's connector settings, and make it ACTIVE; NotFound, Misconfigured, FieldInvalid."""
    encoded = msgspec.json.encode(settings)

    async def put(books: Books) -> BackEnd:
        back_end = await _back_end(books, institution)
        _check_settings(back_end.connector, encoded)
        record = ConnectorRecord(settings=msgspec.Raw(encoded), sender_key=sender_key)
        sealed = seal_record(desk.keyring, institution, record)
        await books.put_connector_settings(institution, sealed)
        await books.put_status(institution, Status.ACTIVE)
        return structs.replace(back_end, status=Status.ACTIVE)

    return await desk.store.transact(put)


async def find_institution(desk: Office, institution: str) -> BackEnd:
    """Find a back end; raises NotFound."""
    return await desk.store.read(lambda books: _back_end(books, institution))


async def set_status(desk: Office, institution: str, status: Status) -> BackEnd:
    """Change a back end's live status, without a new version of the table; raises NotFound."""

    async def change(books: Books) -> BackEnd:
        await books.put_status(institution, status)
        return await _back_end(books, institution)

    return await desk.store.transact(change)


async def check_connector(desk: Office, back_end: BackEnd) -> bool:
    """Open and decode a back end's connector settings; False when it has none; raises Misconfigured."""
    sealed = await desk.store.read(lambda books: books.connector_settings(back_end.id))
    if sealed is None:
        return False
    record = open_record(desk.keyring, back_end.id, sealed)
    _check_settings(back_end.connector, bytes(record.settings))
    return True


async def numbered_institutions(desk: Office, institution: str | None) -> list[BackEnd]:
    """List the back ends whose numbers the platform makes, or only `institution`; raises NotFound and Forbidden."""
    if institution is None:
        table = await desk.store.read(lambda books: books.routing_table())
        return [each for each in table.back_ends if each.numbers is NumberPolicy.PLATFORM]
    back_end = await find_institution(desk, institution)
    if back_end.numbers is not NumberPolicy.PLATFORM:
        raise Forbidden("the platform makes no numbers for this institution")
    return [back_end]


async def renew_numbers(desk: Office, back_end: BackEnd, tell: Callable[[int], None]) -> Renewal:
    """Make all numbers of a back end that are due; `tell` is given how many after each batch."""
    made = unreachable = 0
    more = True
    while more:
        done = await numbers.renew(desk.store, desk.keyring, desk.clock, desk.randomness, back_end=back_end, tell=tell)
        made, unreachable, more = made + done.made, unreachable + done.unreachable, done.more
    return Renewal(made=made, unreachable=unreachable)


async def numbers_progress(desk: Office, back_end: BackEnd) -> Numbering:
    """Count the users of a back end who have a number of the current period, and those who wait for it."""
    now = desk.clock.now()
    return await desk.store.read(lambda books: numbers.progress(books, back_end=back_end, now=now))


async def add_user(desk: Office, *, username: str, password: Secret, contact: Contact) -> str:
    """Register a payer; returns the user id."""
    return await users.register(
        desk.store,
        desk.keyring,
        desk.stretcher,
        desk.clock,
        desk.randomness,
        username=username,
        password=password,
        contact=contact,
    )


async def store_credential(
    desk: Office, *, username: str, password: Secret, institution: str, credential: Credential
) -> None:
    """Store a payer's credential for an institution; needs the payer's password, as nobody else can open the record."""
    owner = await users.verify(
        desk.store, desk.keyring, desk.stretcher, desk.clock, username=username, password=password
    )
    back_end = await desk.store.read(lambda books: _back_end(books, institution))
    await keep.store_credential(desk.store, desk.clock, owner=owner, institution=back_end, credential=credential)


def read_csr(path: Path) -> bytes:
    """Read a certificate request from a file; raises FieldInvalid when it is not there."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FieldInvalid(f"the file {path.name} cannot be read", field="csr") from error


def _check_settings(connector: str, settings: bytes) -> None:
    kind = load_kinds().get(connector)
    if kind is None:
        raise Misconfigured(f"no connector of the kind {connector} is installed", field="connector")
    kind.check(settings)


async def _channel(books: Books, channel_id: str) -> Channel:
    channel = await books.channel(channel_id)
    if channel is None:
        raise NotFound("no channel has this id")
    return channel


async def _back_end(books: Books, institution: str) -> BackEnd:
    table = await books.routing_table()
    back_end = next((b for b in table.back_ends if b.id == institution), None)
    if back_end is None:
        raise NotFound("no institution has this id")
    return back_end
