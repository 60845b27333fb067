"""What an operator is told of a connection that did not come about: texts of libpq 18, seen at a server."""

import psycopg
import pytest

from tallystick.adapters.store.postgres.faults import connection_fault

FAILED = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("server does not support SSL, but SSL was required", "set ssl = on"),
        ("SSL error: certificate verify failed", "put that authority's root there"),
        ('server certificate for "a.example" does not match host name "b.example"', "certify it for the host"),
        ('root certificate file "/srv/hunter2.pem" does not exist\nEither provide the file, …', "put the root"),
        ('could not read root certificate file "/srv/hunter2.pem": no certificate or crl found', "put the root"),
        ('could not load private key file "/srv/hunter2.key": key values mismatch', "of mode 0600"),
        ('certificate present, but not private key file "/srv/hunter2.key"', "of mode 0600"),
        ('private key file "/srv/hunter2.key" has group or world access; file must have …', "of mode 0600"),
        ("SSL error: tlsv1 alert protocol version\nThis may indicate that …", "no TLS 1.2 or later"),
        ("invalid SSL protocol version range", "correct ssl_max_protocol_version"),
        ("SSL error: tlsv1 alert unknown ca", "or let ssl_ca_file know it"),
        ("SSL error: ssl/tls alert certificate expired", "refuses the certificate in sslcert"),
        ('FATAL:  password authentication failed for user "hunter2"', "the role or the password"),
        ('FATAL:  role "hunter2" does not exist', "create it, or name another"),
        ('FATAL:  role "hunter2" is not permitted to log in', "LOGIN"),
        ('FATAL:  certificate authentication failed for user "hunter2"', "common name"),
        ("fe_sendauth: no password supplied", "wants a password"),
        ('could not read certificate file "/srv/hunter2.pem": no start line', "sslcert"),
        ('FATAL:  pg_hba.conf rejects connection for host "::1", user "hunter2", database "x"', "pg_hba.conf"),
        ('FATAL:  database "hunter2" does not exist', "create it, or name another"),
        ('FATAL:  permission denied for database "hunter2"', "GRANT CONNECT"),
        ('FATAL:  no pg_hba.conf entry for host "::1", user "hunter2", database "x", no encryption', "pg_hba.conf"),
        ("FATAL:  connection requires a valid client certificate", "name one in sslcert and sslkey"),
    ],
)
def test_a_fault_is_told_with_its_remedy_and_without_the_drivers_text(said: str, told: str) -> None:
    found = connection_fault(psycopg.OperationalError(FAILED + said))

    assert found is not None
    assert told in found
    assert "hunter2" not in found


def test_of_several_hosts_the_one_that_is_not_trusted_is_told_of() -> None:
    said = "Connection refused\nMultiple connection attempts failed. All failures were:\n- host: 'a', …: "
    assert connection_fault(psycopg.OperationalError(f"{FAILED}{said}SSL error: certificate verify failed")) is not None


@pytest.mark.parametrize(
    "said",
    [
        "Connection refused",
        "FATAL:  the database system is starting up",
        'FATAL:  too many connections for role "node"',
        'FATAL:  too many connections for database "tallystick"',
        'FATAL:  database "tallystick" is not currently accepting connections',
        "SSL error: ssl/tls alert handshake failure",
    ],
)
def test_what_no_operator_has_to_mend_is_no_fault(said: str) -> None:
    assert connection_fault(psycopg.OperationalError(FAILED + said)) is None
