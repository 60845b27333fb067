"""Bounds that lean on each other."""

from tallystick import limits
from tallystick.routing.issuer_file import shipped_rules
from tallystick.sdk.shares import SHARE_STEP
from tallystick.service.background import STOP_GRACE_S
from tallystick.sweep import RETRY_AFTER_MS, TICK_S


def test_a_nonce_is_kept_longer_than_any_message_with_it_can_be_fresh() -> None:
    assert 2 * limits.FRESHNESS_MS < limits.NONCE_KEPT_MS


def test_an_epoch_key_outlives_every_part_that_was_sealed_under_it() -> None:
    assert limits.EPOCH_MS + limits.SECRET_LIFE_MS < limits.EPOCH_KEPT_MS


def test_an_opening_key_outlives_every_message_that_was_sealed_while_it_was_published() -> None:
    assert limits.FRESHNESS_MS < limits.OPENING_KEY_OVERLAP_MS < limits.OPENING_KEY_LIFE_MS


def test_a_full_part_fits_into_a_body_after_sealing_and_base64() -> None:
    assert 4 * (limits.CONTENT_MAX + 1136) / 3 + 1024 < limits.BODY_MAX


def test_shares_of_the_largest_step_fit_into_a_part() -> None:
    assert 4 * 2 * SHARE_STEP / 3 + 512 < limits.CONTENT_MAX


def test_routing_sees_less_than_half_of_any_longer_card_number_and_every_starting_rule_fits() -> None:
    assert 2 * limits.ISSUER_DIGITS < limits.PAN_MAX
    assert all(len(rule.high) <= limits.ISSUER_DIGITS for rule in shipped_rules())


def test_a_whole_credential_fits_among_the_candidates() -> None:
    assert limits.PARTS_MAX <= limits.CANDIDATES_MAX


def test_guessing_a_code_is_hopeless_and_a_number_is_of_fixed_length() -> None:
    assert 31**limits.CODE_LENGTH >= 2**60
    assert 8 == limits.INSTITUTION_ID_LENGTH == limits.NUMBER_LENGTH


def test_a_stopping_process_waits_longer_than_a_back_end_may_take() -> None:
    assert limits.DELIVERY_TIMEOUT_S < STOP_GRACE_S


def test_the_sweep_leaves_a_fresh_join_to_its_own_path_but_looks_often() -> None:
    assert TICK_S * 1000 < RETRY_AFTER_MS < limits.SECRET_LIFE_MS


def test_secrets_wait_no_longer_than_orders_and_numbers_overlap_a_whole_secret_life() -> None:
    assert limits.SECRET_LIFE_MS <= limits.NUMBER_OVERLAP_MS < limits.ORDER_LIFE_MS
