"""What keeps a node from the database that an operator can mend: TLS, its role, its password."""

from typing import Final

_CERTIFICATE_REFUSED: Final = (
    "its server refuses the certificate in sslcert of the connection string: renew it, or let ssl_ca_file know it"
)
_CERTIFICATE_ALERTS: Final = (
    "unknown ca",
    "bad certificate",
    "certificate expired",
    "certificate revoked",
    "certificate unknown",
    "certificate required",
    "unsupported certificate",
)
_FAULTS: Final = (
    ("server does not support SSL", "its server speaks no TLS: set ssl = on there"),
    (
        "certificate verify failed",
        "its server's certificate has ended, or is not of the authority in [store] ca: put that authority's root there",
    ),
    (
        "does not match host name",
        "its server's certificate names another host: certify it for the host of the connection string",
    ),
    (
        "root certificate file",
        "the file of [store] ca is not there or holds no certificate: put the root of the server's authority there",
    ),
    (
        "private key file",
        "sslkey of the connection string cannot be used: it names the key of sslcert, of mode 0600",
    ),
    (
        "certificate file",
        "sslcert of the connection string cannot be used: it names this node's certificate, as PEM",
    ),
    (
        "protocol version",
        "its server speaks no TLS 1.2 or later, or this node may not: correct ssl_max_protocol_version",
    ),
    (
        "password authentication failed",
        "its server refuses the role or the password: correct them in the connection string of [store]",
    ),
    (
        "authentication failed for user",
        "its server refuses the certificate in sslcert for this role: its common name has to be the role's",
    ),
    (
        "no password supplied",
        "its server wants a password: give one in the connection string of [store], or a certificate",
    ),
    (
        "pg_hba.conf",
        "its server admits no such connection: add this node's address, role and database to its pg_hba.conf",
    ),
    (
        "is not permitted to log in",
        "its server lets this role not log in: ALTER ROLE … LOGIN, or name another in [store]",
    ),
    (
        "does not exist",
        "its server has no such role or database: create it, or name another in the connection string of [store]",
    ),
    (
        "permission denied for database",
        "its server keeps this role from the database: GRANT CONNECT, or name another in [store]",
    ),
    *((f" alert {what}", _CERTIFICATE_REFUSED) for what in _CERTIFICATE_ALERTS),
    (
        "requires a valid client certificate",
        "its server wants a certificate of this node: name one in sslcert and sslkey of the connection string",
    ),
)
"""What libpq says, from the most certain on, and what is told instead of it; libpq gives no code for these.

A server that speaks another language than English is not understood: then the fault is told by its kind only.
"""


def connection_fault(error: Exception) -> str | None:
    """Say what an operator has to mend before a connection comes about, and how; None when it was something else.

    The driver's own text is left out, for it may quote files and names of the connection string.
    """
    said = str(error)
    return next((told for mark, told in _FAULTS if mark in said), None)
