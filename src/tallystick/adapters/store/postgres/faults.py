"""What keeps a node from the database that an operator can mend: TLS, its role, its password."""

from typing import Final

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
        "protocol version",
        "its server speaks no TLS 1.2 or later, or this node may not: correct ssl_max_protocol_version",
    ),
    (
        "password authentication failed",
        "its server refuses the role or the password: correct them in the connection string of [store]",
    ),
    (
        "no pg_hba.conf entry",
        "its server admits no such connection: add this node's address, role and database to its pg_hba.conf",
    ),
    (
        'role "',
        "its server has no such role, or lets it not log in: create it with LOGIN, or name another in [store]",
    ),
    (
        'database "',
        "its server has no such database, or not for this role: create it, or name another in [store]",
    ),
    (
        " alert ",
        "its server refuses the certificate in sslcert of the connection string: renew it, or let ssl_ca_file know it",
    ),
    (
        "requires a valid client certificate",
        "its server wants a certificate of this node: name one in sslcert and sslkey of the connection string",
    ),
)
"""What libpq says, from the most certain on, and what is told instead of it; libpq gives no code for these.

A server that speaks another language than English is not understood: then the fault is told by its kind only."""


def connection_fault(error: Exception) -> str | None:
    """Say what an operator has to mend before a connection comes about, and how; None when it was something else.

    The driver's own text is left out, for it may quote files and names of the connection string.
    """
    said = str(error)
    return next((told for mark, told in _FAULTS if mark in said), None)
