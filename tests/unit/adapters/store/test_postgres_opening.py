"""Whom a node believes to be its database."""

from pathlib import Path

import pytest

from tallystick.adapters.store.postgres.opening import Settings, secured
from tallystick.errors import Misconfigured

CA = Path("/etc/ca.pem")


@pytest.mark.parametrize(
    "dsn", ["host=/run/postgresql dbname=t", "host=127.0.0.1 dbname=t", "host=localhost,::1 dbname=t"]
)
def test_a_server_on_this_machine_needs_no_certificate(dsn: str) -> None:
    assert "sslmode" not in secured(dsn, None)


@pytest.mark.parametrize(
    "dsn", ["host=db.example dbname=t", "host=127.0.0.1,db.example", "host=localhost hostaddr=203.0.113.7 dbname=t"]
)
def test_a_server_beyond_it_proves_its_name_by_a_certificate_of_the_authority_given(dsn: str) -> None:
    with pytest.raises(Misconfigured, match="who certified"):
        secured(dsn, None)

    made = secured(dsn, CA)
    assert "sslmode=verify-full" in made
    assert f"sslrootcert={CA}" in made
    assert "gssencmode=disable" in made, "Kerberos, where there is a ticket, would be taken instead"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_no_connection_string_weakens_that(mode: str) -> None:
    with pytest.raises(Misconfigured, match="weaken"):
        secured(f"host=db.example dbname=t sslmode={mode}", CA)


def test_kerberos_is_not_taken_instead_even_when_asked_for() -> None:
    assert "gssencmode=disable" in secured("host=db.example dbname=t gssencmode=require", CA)


def test_where_a_host_is_comes_from_the_connection_string_alone() -> None:
    assert "hostaddr=''" in secured("host=localhost dbname=t", None)
    assert "port=5432" in secured("host=localhost dbname=t", None)
    assert "port=5433" in secured("host=localhost port=5433 dbname=t", None)
    assert "hostaddr=127.0.0.1" in secured("host=localhost hostaddr=127.0.0.1 dbname=t", None)


def test_a_stricter_version_of_tls_is_kept_and_a_laxer_one_is_not() -> None:
    usual = "host=db.example dbname=t ssl_min_protocol_version="
    assert "ssl_min_protocol_version=TLSv1.3" in secured(f"{usual}TLSv1.3", CA)
    assert "ssl_min_protocol_version=TLSv1.2" in secured(f"{usual}TLSv1", CA)


@pytest.mark.parametrize("dsn", ["dbname=t", "", "host=db.example port", "hostaddr=203.0.113.7 dbname=t"])
def test_a_string_that_names_no_host_or_cannot_be_read_is_refused_without_quoting_it(dsn: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        secured(f"{dsn} password=hunter2".strip(), CA)
    assert "hunter2" not in str(refused.value)


def test_a_password_is_in_no_text_of_the_settings() -> None:
    assert "hunter2" not in repr(Settings(dsn="host=db password=hunter2"))
