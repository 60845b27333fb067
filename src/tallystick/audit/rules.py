"""Which entry each write of a store leaves: the one list of all book methods that change anything.

A method that is not here may only read: a store refuses the work in which it writes (`audit.ledger.Ledger.end`). A text
instead of a rule says why the write needs no entry of its own. A rule takes the arguments of its method, is asked only
when a row did change, and gives None where that very change needs no entry.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tallystick.audit.model import Action, Noted

Rule = Callable[..., Noted | None]

_FATES: Final = {
    "joined": Action.PAYMENT_JOINED,
    "cancelled": Action.PAYMENT_CANCELLED,
    "expired": Action.PAYMENT_EXPIRED,
}

# Payments


def _opened(payment: Any) -> Noted:
    return Noted(action=Action.PAYMENT_OPENED, subject=payment.id, details={"policy": payment.policy})


def _filed(part: Any) -> Noted:
    details = {"rival": True} if part.rival else {}
    return Noted(
        action=Action.PART_ACCEPTED, subject=part.payment_id, others=(part.id, part.channel_id), details=details
    )


def _decided(payment_id: str, fate: Any, _at: object) -> Noted:
    return Noted(action=_FATES[fate], subject=payment_id)


def _moved(payment_id: str, *, expected: Any, state: Any, reason: str | None = None, **_: object) -> Noted | None:
    if state is expected or state == "delivering":
        return None  # a note on what waits; the send has its own entry
    details = {"reason": reason} if reason is not None else {}
    return Noted(action=Action.PAYMENT_MOVED, subject=payment_id, outcome=state, details=details)


def _erased(payment_id: str) -> Noted:
    return Noted(action=Action.PARTS_ERASED, subject=payment_id)


def _issued(_element: Any, claim: Any, **_: object) -> Noted:
    others = (claim.institution,) if claim.institution is not None else ()
    return Noted(action=Action.ELEMENT_ISSUED, subject=claim.payment_id or claim.user_id, others=others)


def _hastened(payment_id: str, expires_at: Any) -> Noted:
    return Noted(action=Action.PAYMENT_MOVED, subject=payment_id, outcome="hastened", details={"until": expires_at})


def _refund(refund: Any) -> Noted:
    return Noted(action=Action.REFUND_ASKED, subject=refund.payment_id, others=(refund.id,))


def _page_issued(capability: Any) -> Noted:
    details = {"kind": capability.kind}
    return Noted(action=Action.PAGE_ISSUED, subject=capability.payment_id, others=(capability.id,), details=details)


def _page_moved(capability: Any, **_: object) -> Noted:
    return Noted(
        action=Action.PAGE_MOVED, subject=capability.payment_id, others=(capability.id,), outcome=capability.state
    )


# Delivery


def _intended(intent: Any) -> Noted:
    first = intent.kind == "authorisation"
    return Noted(
        action=Action.DELIVERY_SENT if first else Action.DELIVERY_PLANNED,
        subject=intent.payment_id,
        others=(intent.back_end,),
        details={"n": intent.n, "kind": intent.kind, "stan": intent.ids.stan, "table": intent.table_version},
    )


def _scheduled(payment_id: str, n: int, *, tried: int, tries: int, **_: object) -> Noted | None:
    if tries == tried:
        return None  # only the time of the next try
    return Noted(action=Action.DELIVERY_SENT, subject=payment_id, details={"n": n, "tries": tries})


def _settled(payment_id: str, n: int, *, state: Any, code: str | None, **_: object) -> Noted:
    details: dict[str, Any] = {"n": n} if code is None else {"n": n, "code": code}
    return Noted(action=Action.DELIVERY_SETTLED, subject=payment_id, outcome=state, details=details)


def _pull_moved(delivery: Any, **_: object) -> Noted:
    return Noted(action=Action.PULL_MOVED, others=(delivery.key, delivery.back_end), outcome=delivery.state)


# Payers


def _tried(user_id: str, *_: object) -> Noted:
    return Noted(action=Action.PASSWORD_TRIED, subject=user_id)


def _right(user_id: str) -> Noted:
    return Noted(action=Action.PASSWORD_RIGHT, subject=user_id)


def _registered(user: Any) -> Noted:
    return Noted(action=Action.USER_ADDED, subject=user.id)


def _signing_up(_sign_up: Any) -> Noted:
    return Noted(action=Action.USER_INVITED)


def _contact_changed(user_id: str, _sealed: bytes) -> Noted:
    return Noted(action=Action.USER_CHANGED, subject=user_id)


def _stored(credential: Any) -> Noted:
    return Noted(action=Action.CREDENTIAL_STORED, subject=credential.user_id, others=(credential.institution,))


def _number_made(institution: str, user_id: str, period: str) -> Noted:
    return Noted(action=Action.NUMBER_MADE, subject=user_id, others=(institution,), details={"period": period})


# Operators


def _channel_added(channel: Any) -> Noted:
    return Noted(action=Action.CHANNEL_ADDED, others=(channel.id,), details={"name": channel.name})


def _channel_changed(channel: Any) -> Noted:
    return Noted(action=Action.CHANNEL_CHANGED, others=(channel.id,), outcome=channel.state)


def _api_key(key: Any) -> Noted:
    outcome = "done" if key.revoked_at is None else "revoked"
    return Noted(action=Action.API_KEY_SET, others=(key.id, key.holder), outcome=outcome, details={"role": key.role})


def _pin_key_added(key: Any) -> Noted:
    return Noted(action=Action.PIN_KEY_ADDED, others=(key.name, key.channel_id), details={"scheme": key.scheme})


def _pin_key_retired(name: str, _at: object) -> Noted:
    return Noted(action=Action.PIN_KEY_RETIRED, others=(name,))


def _proposal_made(proposal: Any) -> Noted:
    details = {"kind": proposal.kind, "action": proposal.action, "author": proposal.author}
    return Noted(action=Action.PROPOSAL_MADE, others=(proposal.id,), details=details)


def _proposal_moved(proposal: Any, **_: object) -> Noted:
    details = {"action": proposal.action, "approvals": tuple(each.by for each in proposal.approvals)}
    return Noted(action=Action.PROPOSAL_MOVED, others=(proposal.id,), outcome=proposal.state, details=details)


def _limits(rules: Any) -> Noted:
    details = {kind.value: f"{limit.count} in {limit.window} ms" for kind, limit in rules.limits.items()}
    return Noted(action=Action.LIMITS_SET, details={"author": rules.author, **details})


def _rewrapped(rewrap: Any) -> Noted:
    details = {"kind": rewrap.kind, "target": rewrap.target, "looked": rewrap.looked, "changed": rewrap.changed}
    return Noted(action=Action.REWRAPPED, outcome="going on" if rewrap.finished_at is None else "done", details=details)


def _invited(enrolment: Any) -> Noted:
    return Noted(action=Action.ENROLMENT_INVITED, others=(enrolment.id,), details={"uri": enrolment.uri})


def _anchor_added(anchor: Any) -> Noted:
    details = {"uri": anchor.uri, "lists": anchor.lists}
    return Noted(action=Action.ANCHOR_ADDED, others=(anchor.id,), details=details)


def _anchor_removed(anchor_id: str) -> Noted:
    return Noted(action=Action.ANCHOR_REMOVED, others=(anchor_id,))


def _denied(fingerprint: str, _at: object) -> Noted:
    return Noted(action=Action.CERTIFICATE_DENIED, others=(fingerprint,))


def _undenied(fingerprint: str) -> Noted:
    return Noted(action=Action.CERTIFICATE_UNDENIED, others=(fingerprint,))


def _enrolment_moved(enrolment: Any, **_: object) -> Noted:
    details = {"uri": enrolment.uri, "wrong": enrolment.wrong}
    return Noted(action=Action.ENROLMENT_MOVED, others=(enrolment.id,), outcome=enrolment.state, details=details)


def _status(institution: str, status: Any) -> Noted:
    return Noted(action=Action.INSTITUTION_STATUS, others=(institution,), outcome=status)


def _connector(institution: str, _sealed: bytes) -> Noted:
    return Noted(action=Action.CONNECTOR_SET, others=(institution,))


def _version(version: Any, _table: object) -> Noted:
    return Noted(action=Action.ROUTES_CHANGED, details={"version": version.version, "author": version.author})


def _proposed(change: Any, _table: object) -> Noted:
    return Noted(action=Action.ROUTES_PROPOSED, others=(change.id,), details={"author": change.author})


def _change_decided(change_id: str, state: Any, *, by: str, **_: object) -> Noted:
    return Noted(action=Action.ROUTES_DECIDED, others=(change_id,), outcome=state, details={"by": by})


def _endpoint(endpoint: Any) -> Noted:
    return Noted(action=Action.ENDPOINT_SET, others=(endpoint.id, endpoint.channel_id), outcome=endpoint.state)


def _revived(was: Any, changed: Any) -> Noted | None:
    if was.state != "dead" or changed.state == "dead":
        return None  # the outbox at work
    return Noted(action=Action.WEBHOOK_REVIVED, others=(changed.id, changed.endpoint_id))


def _buried(endpoint_id: str, _last: str) -> Noted:
    return Noted(action=Action.WEBHOOKS_BURIED, others=(endpoint_id,))


_FILING: Final = "the part that was filed has its entry"
_OUTBOX: Final = "an outbox at work: what made the message has its entry"
_OVER: Final = "its time was over when it was made"
_PROCESS: Final = "tells which processes are there: what they do has its entry"
_REPLAY: Final = "belongs to the message whose effect has its entry, and ends by itself"

WRITES: Final[Mapping[str, Rule | str]] = {
    # assembly
    "add_payment": _opened,
    "note_part": _FILING,
    "add_part": _filed,
    "mark_rivals": _FILING,
    "drop_part": _FILING,
    "erase_parts": _erased,
    "decide_fate": _decided,
    "advance": _moved,
    "claim_joined": "a try begins: the intent that it leads to has its entry",
    "attach": "the payment it belongs to has its entry",
    "hasten": _hastened,
    "add_receipt": _FILING,
    "add_refund": _refund,
    "issue_claim": _issued,
    "shorten_claims": "the number that takes its place has its entry",
    "purge_claims": _OVER,
    # delivery
    "next_stan": "a counter: the intent that uses it has its entry",
    "add_intent": _intended,
    "schedule_intent": _scheduled,
    "settle_intent": _settled,
    "add_node": _PROCESS,
    "renew_node": _PROCESS,
    "drop_node": _PROCESS,
    "hold_chore": _PROCESS,
    "put_connector_settings": _connector,
    "add_pull": "the intent that it belongs to has its entry",
    "replace_pull": _pull_moved,
    "note_poll": "a back end asked, and was handed nothing yet",
    # security
    "remember_nonce": _REPLAY,
    "keep_answer": _REPLAY,
    "purge_replay": _OVER,
    # vault
    "add_user": _registered,
    "replace_contact": _contact_changed,
    "add_sign_up": _signing_up,
    "drop_sign_up": "the payer who is registered has an entry",
    "purge_sign_ups": _OVER,
    "count_try": _tried,
    "clear_tries": _right,
    "put_credential": _stored,
    "note_number": _number_made,
    "use_code": "the right try that it belongs to has its entry",
    "add_notice": _OUTBOX,
    "hold_notices": _OUTBOX,
    "book_pace": _OUTBOX,
    "delay_notice": _OUTBOX,
    "drop_notice": _OUTBOX,
    # channels
    "add_channel": _channel_added,
    "replace_channel": _channel_changed,
    "add_enrolment": _invited,
    "replace_enrolment": _enrolment_moved,
    "purge_enrolments": _OVER,
    "add_anchor": _anchor_added,
    "remove_anchor": _anchor_removed,
    "deny": _denied,
    "undeny": _undenied,
    "add_capability": _page_issued,
    "replace_capability": _page_moved,
    "purge_capabilities": _OVER,
    "put_api_key": _api_key,
    "note_key_use": "what the key was used for has its entry",
    "add_pin_key": _pin_key_added,
    "retire_pin_key": _pin_key_retired,
    "advance_pin_counter": _FILING,
    "add_pin_token": "a number that means nothing until a part uses it",
    "use_pin_token": _FILING,
    "bind_pin_token": "the delivery that it is for has its entry",
    "purge_pin_tokens": _OVER,
    # routing
    "put_version": _version,
    "put_status": _status,
    "add_change": _proposed,
    "decide_change": _change_decided,
    # outcomes
    "put_endpoint": _endpoint,
    "note_announced": _OUTBOX,
    "purge_events": _OUTBOX,
    "add_webhook": _OUTBOX,
    "change_webhook": _revived,
    "drop_webhook": _OUTBOX,
    "bury_webhooks": _buried,
    "purge_webhooks": _OUTBOX,
    "put_kept": "the round of sealing anew that it belongs to has its entry",
    "note_rewrap": _rewrapped,
    "add_proposal": _proposal_made,
    "replace_proposal": _proposal_moved,
    "put_limit_rules": _limits,
    "add_tally": "a counter: what was counted has its entry, or had no effect",
    "add_tallies": "counters: what was counted has its entry, or had no effect",
    "purge_tallies": _OVER,
    # audit
    "add_checkpoint": "says what the chain is, and is signed itself",
}
