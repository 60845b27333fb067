"""The operator's commands about API keys."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

Run = Callable[..., Result]
Ask = Callable[..., Any]


def test_a_key_is_written_once_for_its_owner_only_and_never_shown(ask: Ask, run: Run, tmp_path: Path) -> None:
    added = ask("apikey", "add", "bookshop", "--key-out", "shop.key")
    path = tmp_path / "shop.key"
    token = path.read_text().strip()
    assert token.startswith("tsk_live_" + added["id"].removeprefix("key_"))
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert ("bookshop", ["order", "read"], "live", "current") == tuple(
        added[name] for name in ("holder", "scopes", "mode", "state")
    )
    listed = run("apikey", "list").stdout
    assert added["id"] in listed
    secret = token.split("_")[3]
    assert secret not in listed
    assert secret not in (tmp_path / "data" / "store.db").read_bytes().decode("latin-1")


def test_a_key_is_rotated_and_revoked(ask: Ask) -> None:
    old = ask("apikey", "add", "bookshop", "--test", "--scopes", "refund", "--key-out", "1.key")
    new = ask("apikey", "rotate", old["id"], "--overlap", "1h", "--key-out", "2.key")
    assert (["refund"], "test") == (new["scopes"], new["mode"])
    assert "revoked" == ask("apikey", "revoke", old["id"])["state"]
    assert ["revoked", "current"] == [each["state"] for each in ask("apikey", "list")]


def test_a_scope_that_no_merchant_has_is_wrong_usage(run: Run, platform: Path, tmp_path: Path) -> None:
    assert 2 == run("apikey", "add", "bookshop", "--scopes", "admin", "--key-out", "1.key").exit_code
    assert not (tmp_path / "1.key").exists()
