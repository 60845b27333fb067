"""What a probe is answered."""

from msgspec import Struct


class Ready(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether to send requests here; `faults` say what is against it, to who may know."""

    ready: bool
    faults: tuple[str, ...] = ()
