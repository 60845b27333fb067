"""Every bound of the platform, named and with its unit; related bounds are compared in tests/unit/test_limits.py."""

from typing import Final

# Messages
BODY_MAX: Final = 16 * 1024  # bytes; a hybrid HPKE envelope of a full part is about 2 kB
CONTENT_MAX: Final = 4 * 1024  # bytes of an opened part
HEADER_MAX: Final = 2 * 1024  # bytes of one signature header
NONCE_MIN: Final = 16  # characters
NONCE_MAX: Final = 64  # characters
IDEMPOTENCY_KEY_MAX: Final = 64  # characters
FRESHNESS_MS: Final = 5 * 60_000  # ms a message's `created` may differ from our clock, either way
NONCE_KEPT_MS: Final = 2 * FRESHNESS_MS + 60_000  # ms; longer than any message can be fresh

# Parts and payments
SECRET_LIFE_MS: Final = 10 * 60_000  # ms a secret part may wait for its counterpart
ORDER_LIFE_MS: Final = 24 * 3_600_000  # ms an order intent may wait for secrets
PARTS_MAX: Final = 8  # parts of one credential
CANDIDATES_MAX: Final = 8  # rival candidates kept for one payment; more are answered alike and never used
EPOCH_MS: Final = 10 * 60_000  # ms one at-rest key of parts is used for sealing
EPOCH_KEPT_MS: Final = EPOCH_MS + SECRET_LIFE_MS + 60_000  # ms from an epoch's start to the destruction of its key

# Part-opening keys
OPENING_KEY_LIFE_MS: Final = 4 * 3_600_000  # ms a part-opening key is published
OPENING_KEY_OVERLAP_MS: Final = 3_600_000  # ms it still opens after its successor is published

# Fields
PAN_MIN: Final = 12  # digits
PAN_MAX: Final = 19  # digits, ISO/IEC 7812-1
CHIP_MAX: Final = 255  # bytes of EMV data, ISO 8583 DE55
ACCOUNT_MAX: Final = 64  # characters
USERNAME_MAX: Final = 64  # characters
PASSWORD_MIN: Final = 12  # characters for a new user password (PCI DSS 8.3.6)
PASSWORD_MAX: Final = 128  # characters
PAYEE_MAX: Final = 100  # characters
REFERENCE_MAX: Final = 64  # characters
LINES_MAX: Final = 20  # lines of an order: what a payer can read before a yes or no
LINE_TEXT_MAX: Final = 80  # characters
QUANTITY_MAX: Final = 9_999  # pieces of one line
AMOUNT_MAX: Final = 999_999_999_999  # minor units: 12 digits of ISO 8583 DE4

# Elements
CODE_LENGTH: Final = 14  # letters of a per-transaction code: 31**14 ≈ 2**69 ≥ 60 bits
INSTITUTION_ID_LENGTH: Final = 8  # digits, fixed (patent claim 3)
NUMBER_LENGTH: Final = 8  # digits of a dynamic number
NUMBER_OVERLAP_MS: Final = 10 * 60_000  # ms the previous dynamic number stays valid
BACKEND_VALUE_MIN: Final = 8  # characters of a value issued by a back end
BACKEND_VALUE_MAX: Final = 64  # characters

# Routing
ISSUER_DIGITS: Final = 9  # leading digits routing may see; fewer than half of a PAN and never its check digit

# Delivery
DELIVERY_TIMEOUT_S: Final = 20.0  # s to wait for a back end's answer
RECOVERY_LIFE_MS: Final = 24 * 3_600_000  # ms an unknown outcome is inquired and reversed before a person takes over
RECOVERY_KEY_GRACE_MS: Final = 60_000  # ms a recovery key outlives its epoch at least: intents under way are recorded
ATTEMPTS_MAX: Final = 128  # intents of one payment: one try per candidate every few seconds of a secret's life
PATHS_IN_FLIGHT_MAX: Final = 512  # parts being accepted and payments carried by one process; more are answered 503

# Listeners
CONNECTIONS_MAX: Final = 4096  # connections of one listener; requests on further ones are answered 503
REQUESTS_MAX: Final = 1024  # requests of one listener in flight, streams among them; more are answered 503
HIGH_WATER: Final = 0.75  # part of a bound from which on a process says that it is not ready: before it refuses
LOW_WATER: Final = 0.5  # part of a bound below which it says that it is ready again

# Merchants' API
METADATA_MAX: Final = 20  # entries that a merchant attaches to a payment
METADATA_NAME_MAX: Final = 40  # characters
METADATA_VALUE_MAX: Final = 200  # characters
URL_MAX: Final = 2_048  # characters
PAGE_MAX: Final = 100  # payments of one page of a list
MERCHANT_ANSWER_KEPT_MS: Final = 24 * 3_600_000  # ms an Idempotency-Key of a merchant is recognised

# Streams of events
STREAMS_MAX: Final = 256  # streams of one process; more are answered 503
STREAMS_EACH_MAX: Final = 32  # streams of one sender; more are answered 429

# Pages
LINK_LIFE_MS: Final = 5 * 60_000  # ms a code shown on one screen may wait to be read by the other
SESSION_GRACE_MS: Final = 10 * 60_000  # ms a page session outlives its payment, to show how that ended
CAPABILITIES_MAX: Final = 32  # links of one payment; more are answered 429

# Tries
PASSWORD_TRIES_MAX: Final = 10  # wrong passwords of one user in the window (PCI DSS 8.3.4)
PASSWORD_TRIES_WINDOW_MS: Final = 30 * 60_000  # ms
