"""Sign-up by pages (patent claim 6): user name and account from the PC, password and secret from the phone.

As with a payment, neither page holds a usable credential. The phone proves the contact: it takes a code that was sent
there. Nobody is registered before both halves are there.
"""

from base64 import urlsafe_b64encode
from typing import Final

from tallystick import limits
from tallystick.assembly.element import new_code
from tallystick.audit.acting import PAGE, acting
from tallystick.channels.capability import named_by_secret
from tallystick.channels.model import PageKind
from tallystick.crypto import httpsig, kdf
from tallystick.crypto.binding import bind
from tallystick.crypto.signing import HmacKey
from tallystick.delivery.books import Books, Within
from tallystick.errors import AlreadyExists, CredentialRefused, FieldInvalid, KeyUnknown, LinkRefused, NotFound
from tallystick.messages import count_message
from tallystick.path import Platform
from tallystick.routing.model import BackEnd, RoutingTable, Status
from tallystick.runtime import Millis
from tallystick.secret import Pan, Secret
from tallystick.security.fields import check_fields
from tallystick.security.idempotency import answer_once
from tallystick.security.model import Arrival, Sender
from tallystick.security.ports import Purpose
from tallystick.security.unseal import content_decoder, open_envelope, read_content, read_envelope
from tallystick.security.verify import Verified, verify
from tallystick.vault import holding, keep, signup, users
from tallystick.vault.model import AccountCredential, CardCredential, Contact, Credential, Medium, SignUp, User
from tallystick.vault.notices import Message, seal_notice
from tallystick.vault.signup import Half
from tallystick.wire.signup import FirstHalf, JoinChoice, Joined, JoinOffer, JoinWaiting, SecondHalf

SECOND_MS: Final = 1000  # ms
TOKEN_BYTES: Final = 16  # random bytes in the name of a PC page
SENDER: Final = "sgn"
_PAGE: Final = "sign-up page "
_first: Final = content_decoder(FirstHalf)
_second: Final = content_decoder(SecondHalf)


async def offer(platform: Platform, now: Millis) -> JoinOffer:
    """Begin a sign-up on a PC page: a name that says when it ends, and the MAC key derived from it. Stores nothing."""
    version = platform.keyring.active(Purpose.AT_REST).version
    ends = (now + limits.SECRET_LIFE_MS) // SECOND_MS
    sender = f"{SENDER}_{version}_{ends}_{platform.randomness.token(TOKEN_BYTES).hex()}"
    table = await platform.store.read(lambda books: books.routing_table())
    return JoinOffer(
        sender=sender,
        key=urlsafe_b64encode(_page_key(platform, sender, now)).decode().rstrip("="),
        keys=platform.opening_keys.published(now),
        now=now,
        choices=choices(table),
    )


def choices(table: RoutingTable) -> tuple[JoinChoice, ...]:
    """Return the back ends at which a credential can be stored, by name."""
    cards = {scheme for rule in table.issuer_rules for scheme in rule.schemes}
    offered = [each for each in table.back_ends if each.schemes and each.status is not Status.SUSPENDED]
    return tuple(
        JoinChoice(id=each.id, name=each.name, card=each.schemes <= cards)
        for each in sorted(offered, key=lambda each: each.name)
    )


async def first(platform: Platform, arrival: Arrival) -> Millis:
    """Take the PC's half and send a code to the contact; returns until when the code counts.

    1. The signature is by a page of ours whose time is not over: LinkRefused, SignatureInvalid, Stale.
    2. The half opens and every value has its form; the back end takes such a credential: Malformed, FieldInvalid.
    3. Neither the number nor the e-mail address, each on its own, was sent too many codes: TooMany.
    4. The half is durable, sealed, with the notice that carries the code; a retry sends no second code.

    Whether the user name is taken is not told: only the phone, which has proven the contact, learns that.
    """
    # 1.
    sender = httpsig.parse_signature(arrival.headers).keyid
    verified = verify(arrival, _sender(sender), HmacKey(_page_key(platform, sender, arrival.at)))
    # 2.
    clear = _open(platform, arrival, verified)
    told = read_content(clear, _first)
    contact = users.normal_contact(Contact(phone=told.phone, email=told.email))
    table = await platform.store.read(lambda books: books.routing_table())
    back_end = _back_end(table, told.institution)
    fields = _open_fields(told, card=_takes_cards(table, back_end))
    code = Secret(new_code(platform.randomness))
    name, key = named_by_secret(code)
    half = Half(
        key=key,
        username=users.normal_username(told.username),
        contact=contact,
        institution=back_end.id,
        fields={name: value.reveal() for name, value in fields.items()},
    )
    waiting = signup.seal(platform.epochs, name, half, arrival.at)

    async def work(books: Books) -> bytes:
        async def act() -> bytes:
            # 3.
            await count_message(platform, books, contact, arrival.at)
            # 4.
            await books.add_sign_up(waiting)
            await _send(platform, books, contact, code, arrival.at)
            return str(waiting.expires_at).encode()

        return await answer_once(books, platform.epochs, verified, bind(arrival.target) + clear, arrival.at, act)

    with acting(f"{PAGE}{PageKind.PC}:{sender}"):
        return Millis(int(await platform.store.transact(work)))


async def waiting(platform: Platform, arrival: Arrival) -> JoinWaiting:
    """Tell the phone page, which has the code, what waits; raises LinkRefused, SignatureInvalid, Stale."""
    sign_up, half = await _found(platform, arrival)
    verify(arrival, _sender(sign_up.id), HmacKey(half.key))
    table = await platform.store.read(lambda books: books.routing_table())
    back_end = _back_end(table, half.institution)
    return JoinWaiting(
        username=half.username,
        institution=back_end.name,
        card="pan" in half.fields,
        keys=platform.opening_keys.published(arrival.at),
        now=arrival.at,
        expires_at=sign_up.expires_at,
    )


async def second(platform: Platform, arrival: Arrival, issuer: str) -> Joined:
    """Take the phone's half: register the payer and store the credential, all or nothing.

    1. The signature is by the code of a sign-up that waits: LinkRefused, SignatureInvalid, Stale.
    2. The half opens and every value has its form: Malformed, FieldInvalid.
    3. The user name is free, or it is this payer's: the contact is the registered one and the password is right, its
       try counted before. Else AlreadyExists, always the same, and nothing is used up.
    4. The sign-up is used up, once: LinkRefused.

    A payer who is registered so stores a credential for one more institution.
    """
    # 1.
    sign_up, half = await _found(platform, arrival)
    verified = verify(arrival, _sender(sign_up.id), HmacKey(half.key))
    # 2.
    told = read_content(_open(platform, arrival, verified), _second)
    credential = _credential(half, told)
    table = await platform.store.read(lambda books: books.routing_table())
    back_end = _back_end(table, half.institution)
    # 3.
    user, owner = await _payer(platform, half, told.password)

    async def work(books: Books) -> Joined:
        # 4.
        await books.remember_nonce(verified.sender, verified.nonce, Millis(arrival.at + limits.NONCE_KEPT_MS))
        if not await books.drop_sign_up(sign_up.id):
            raise LinkRefused("no sign-up waits under this code")
        inside = Within(books)
        if user is not None:
            await users.add(inside, platform.keyring, half.username, user)
        await keep.store_credential(inside, platform.clock, owner=owner, institution=back_end, credential=credential)
        app = None
        if told.app:
            address = await holding.set_up(
                inside, platform.keyring, platform.randomness, username=half.username, issuer=issuer
            )
            app = address.reveal()
        return Joined(username=half.username, app=app)

    with acting(f"{PAGE}{PageKind.PHONE}:join"):  # the sign-up's own name is a function of the code that was typed
        return await platform.store.transact(work)


async def _payer(platform: Platform, half: Half, password: Secret) -> tuple[User | None, users.Unlocked]:
    """Prepare a new payer, or unlock the one who has this name, contact and password; else AlreadyExists."""
    digests = users.digest_name(platform.keyring, half.username)
    known = await platform.store.read(lambda books: books.user_named(digests))
    ports = platform.keyring, platform.stretcher, platform.clock
    if known is None:
        return await users.prepare(
            *ports, platform.randomness, username=half.username, password=password, contact=half.contact
        )
    taken = AlreadyExists("this user name is another payer's, or the password is not the one registered")
    try:
        registered = users.open_contact(platform.keyring, known)
        owner = await users.verify(platform.store, *ports, username=half.username, password=password)
    except CredentialRefused:
        raise taken from None
    if not {half.contact.phone, half.contact.email} - {None} <= {registered.phone, registered.email}:
        raise taken
    return None, owner


async def _found(platform: Platform, arrival: Arrival) -> tuple[SignUp, Half]:
    name = httpsig.parse_signature(arrival.headers).keyid
    found = await platform.store.read(lambda books: books.sign_up(name))
    if found is None:
        raise LinkRefused("no sign-up waits under this code")
    return found, signup.unseal(platform.epochs, found, arrival.at)


def _open(platform: Platform, arrival: Arrival, verified: Verified) -> bytes:
    return open_envelope(read_envelope(arrival), arrival, verified, platform.opening_keys)


def _sender(name: str) -> Sender:
    return Sender(id=name, algorithm=HmacKey.algorithm, sealed_key=b"")


def _page_key(platform: Platform, sender: str, now: Millis) -> bytes:
    """Derive the MAC key of a PC page from its name; raises LinkRefused for a name that is none of ours, or over."""
    kind, version, ends, token = (*sender.split("_"), "", "", "")[:4]
    if kind != SENDER or not version.isdecimal() or not ends.isdecimal() or len(token) != 2 * TOKEN_BYTES:
        raise LinkRefused("this is no page that signs anybody up")
    if now >= int(ends) * SECOND_MS:
        raise LinkRefused("this page waited too long")
    try:
        key = platform.keyring.version(Purpose.AT_REST, int(version))
    except KeyUnknown:
        raise LinkRefused("this page waited too long") from None
    return kdf.derive(key.secret, _PAGE + sender)


def _back_end(table: RoutingTable, institution: str) -> BackEnd:
    offered = {choice.id for choice in choices(table)}
    found = next((each for each in table.back_ends if each.id == institution and each.id in offered), None)
    if found is None:
        raise NotFound("no such institution stores credentials here", field="institution")
    return found


def _takes_cards(table: RoutingTable, back_end: BackEnd) -> bool:
    return next(choice.card for choice in choices(table) if choice.id == back_end.id)


def _open_fields(told: FirstHalf, *, card: bool) -> dict[str, Secret]:
    given = {name: value for name in ("account", "pan", "expiry") if (value := getattr(told, name)) is not None}
    wanted = {"pan"} if card else {"account"}
    if not wanted <= set(given) <= (wanted | {"expiry"} if card else wanted):
        kind, field = ("a card", "pan") if card else ("an account", "account")
        raise FieldInvalid(f"this institution takes {kind}", field=field)
    return check_fields(given)


def _credential(half: Half, told: SecondHalf) -> Credential:
    if "pan" in half.fields:
        expiry = half.fields.get("expiry")
        return CardCredential(pan=Pan(half.fields["pan"]), expiry=Secret(expiry) if expiry is not None else None)
    if told.secret is None:
        raise FieldInvalid("the payment password of the account is needed", field="secret")
    secret = check_fields({"secret": told.secret})["secret"]
    return AccountCredential(account=Secret(half.fields["account"]), secret=secret)


async def _send(platform: Platform, books: Books, contact: Contact, code: Secret, now: Millis) -> None:
    """Send the code, and no link: nobody learns to type a password where a message leads (PCI DSS 5.4.1)."""
    shown = " ".join(code.reveal()[at : at + 4] for at in range(0, limits.CODE_LENGTH, 4))
    minutes = limits.SECRET_LIFE_MS // 60_000
    text = (
        f"Your code to finish signing up is {shown}. It counts for {minutes} minutes, on the page that the code on "
        "your computer's screen opens. Did you not ask for it? Then do nothing."
    )
    for medium, address in ((Medium.SMS, contact.phone), (Medium.EMAIL, contact.email)):
        if address is not None:
            message = Message(address=address, subject="Your code to sign up", text=text)
            notice = seal_notice(platform.keyring, platform.randomness, medium, message, now, urgent=True)
            await books.add_notice(notice)
