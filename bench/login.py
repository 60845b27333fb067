"""Embodiment 2: user name by PC, password by phone, joined by institution id and dynamic number, stored card picked.

Each payer pays one payment at a time, as a person does; so many payers pay side by side.
"""

import asyncio
import itertools
import time
from typing import Any

from bench import load
from bench.figures import latencies
from bench.payments import in_temporary_folder
from bench.processes import Server, server
from bench.world import World
from tallystick.cli import administer
from tallystick.crypto.pin import pin_block_1
from tallystick.secret import Pan, Secret
from tallystick.vault import numbers as dynamic
from tallystick.vault.model import CardCredential, Contact
from tallystick.wire.part import InstitutionElement, PartContent

PAYERS = 24  # well below the passwords that may wait
FIRST_NUMBER = 10_000_000  # eight digits
PASSWORD = "bamboo-kettle-92"  # noqa: S105 - a made-up payer's
POLICY = "login"
POLL_S = 0.002


async def logins(count: int, *, store: str = "sqlite") -> dict[str, Any]:
    """Register payers, then pay `count` payments by them."""
    numbers: itertools.count[int] = itertools.count()
    async with in_temporary_folder(store) as made:
        for n in range(PAYERS):
            await register(made, n)
        async with server(made.data, "platform") as under:
            await pay(made, under, PAYERS, numbers)
            return {"payers": PAYERS, "payments": count, **await pay(made, under, count, numbers)}


async def register(made: World, n: int) -> None:
    """Register one payer with a card, and give a number."""
    desk, institution, password = made.desk, made.institution, Secret(PASSWORD)
    username, contact = f"payer-{n}", Contact(phone=f"+86139{n:08d}", email=None)
    user_id = await administer.add_user(desk, username=username, password=password, contact=contact)
    card = CardCredential(pan=Pan(load.PAN), expiry=Secret("3012"), pin_block=pin_block_1(Secret("135790")))
    await administer.store_credential(
        desk, username=username, password=password, institution=institution, credential=card
    )
    await dynamic.set_by_back_end(
        desk.store,
        desk.keyring,
        desk.randomness,
        back_end=await administer.find_institution(desk, institution),
        user_id=user_id,
        number=str(FIRST_NUMBER + n),
        now=desk.clock.now(),
        tell=False,
    )


async def pay(made: World, under: Server, count: int, numbers: "itertools.count[int]") -> dict[str, Any]:
    """Let all payers pay, `count` payments in all, at full load."""
    pc, phone = made.profile("pc", under.port), made.profile("phone", under.port)
    keys = await load.held_keys(pc)

    def halves(number: int) -> tuple[PartContent, PartContent]:
        payer = number % PAYERS
        element = InstitutionElement(institution=made.institution, number=str(FIRST_NUMBER + payer))
        who, proof = {"username": Secret(f"payer-{payer}")}, {"password": Secret(PASSWORD)}
        first = PartContent(policy=POLICY, element=element, fields=who, order=load.order(number))
        return first, PartContent(policy=POLICY, element=element, fields=proof)

    payments = await asyncio.to_thread(load.prepare, pc, phone, keys, numbers, count, halves)
    pairs = await load.connect(pc, phone, under.port, PAYERS)
    acknowledged, refused, waits = made.back_end.acknowledged, 0, []

    async def payer(mine: list[load.Payment], first: load.Connection, second: load.Connection) -> None:
        nonlocal refused
        for payment in mine:
            refused += await first.exchange(payment.first) != load.ACCEPTED
            sent = time.monotonic_ns()
            refused += await second.exchange(payment.second) != load.ACCEPTED
            while payment.amount not in acknowledged:  # noqa: ASYNC110 - the back end only notes times
                await asyncio.sleep(POLL_S)
            waits.append((acknowledged[payment.amount] - sent) / 1e6)

    cpu, own, began = under.cpu_s(), under.own_cpu_s(), time.monotonic()
    await asyncio.gather(*(payer(payments[n::PAYERS], *pair) for n, pair in enumerate(pairs)))
    took = time.monotonic() - began
    assert refused == 0, f"{refused} parts were refused"
    for pair in pairs:
        for connection in pair:
            await connection.close()
    return {
        "payments_per_s": round(count / took, 1),
        "cpu_us": round((under.cpu_s() - cpu) / count * 1e6, 1),
        "cpu_us_first_process": round((under.own_cpu_s() - own) / count * 1e6, 1),
        "delivery": latencies(waits),
    }
