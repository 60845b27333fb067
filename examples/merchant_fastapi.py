"""A shop's server with FastAPI: uvicorn merchant_fastapi:app."""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from tallystick.sdk.merchant import AsyncMerchant, create_payment
from tallystick.secret import Secret
from tallystick.wire.part import WireOrder
from tallystick.wire.payment import NewPayment

app = FastAPI()
key = Secret(Path(os.environ["TALLYSTICK_API_KEY_FILE"]).read_text().strip())
merchant = AsyncMerchant.connect(os.environ["TALLYSTICK_API_URL"], key, ca=Path(os.environ["TALLYSTICK_API_CA"]))


@app.post("/orders/{number}/pay")
async def pay(number: str) -> RedirectResponse:
    """Create the order's payment, once whatever happens, and send the payer to its page."""
    order = WireOrder(payee="Bookshop", amount=1999, currency="EUR", reference=number)
    created = await merchant.ask(create_payment(NewPayment(policy="account", order=order), idempotency_key=number))
    return RedirectResponse(created.page_url or "/", status_code=303)
