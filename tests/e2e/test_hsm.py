"""A platform that serves with its keys under a key in a hardware token (SoftHSM2)."""

from pathlib import Path

import pytest
from live_platform import Live, live_platform
from softhsm import LABEL, PIN, SoftToken

from tallystick.bootstrap.wrapping import open_token, protect_by_token
from tallystick.config import KeysSection
from tallystick.errors import Misconfigured
from tallystick.secret import Secret

pytestmark = pytest.mark.e2e

KEY = "served-kek"


def go_over(live: Live, token: SoftToken) -> KeysSection:
    """Put a stopped platform's keys under a new key of the token; return its settings of keys."""
    section = KeysSection(module=token.module, token=LABEL, key=KEY, pin=Secret(PIN))
    open_token(section).make(KEY)
    assert 0 < protect_by_token(live.data, section, KEY, lambda: None)
    with (live.data / "tallystick.toml").open("a") as settings:
        settings.write(f'\n[keys]\nprovider = "pkcs11"\nmodule = "{token.module}"\ntoken = "{LABEL}"\nkey = "{KEY}"\n')
    return section


async def test_a_platform_serves_on_a_token_restarts_on_it_and_does_not_start_without(
    tmp_path: Path, soft_token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = tmp_path / "pin"
    pin.touch(0o600)
    pin.write_text(f"{PIN}\n")
    async with live_platform(tmp_path) as live:
        before = await live.pay(10_000)
        assert "approved" == await live.outcome(before)
        await live.child.stop()
        go_over(live, soft_token)
        monkeypatch.setenv("TALLYSTICK_KEYS__PIN_FILE", str(pin))
        await live.start()
        assert "approved" == await live.outcome(before), "what was sealed before is readable"
        assert "approved" == await live.outcome(await live.pay(10_001))
        await live.kill()
        await live.start()
        assert "approved" == await live.outcome(await live.pay(10_002))
        files = [path for name in ("keys", "epochs", "opening") for path in (live.data / name).iterdir()]
        assert len(files) > 5
        assert [] == [path.name for path in files if not path.read_bytes().startswith(b"tsk-p11")]
        assert PIN not in live.log
        await live.child.stop()
        pin.write_text("wrong")
        with pytest.raises(Misconfigured):
            await live.start()
        assert "refused the PIN" in live.log
        pin.write_text(PIN)
