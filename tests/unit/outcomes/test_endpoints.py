"""Endpoints: whose they are, what addresses they may have, and how their secrets live."""

import pytest
from msgspec.structs import replace
from outcome_world import APPROVED, DELIVERING, World

from tallystick.errors import FieldInvalid, Misconfigured, NotFound, TooMany
from tallystick.outcomes import endpoints
from tallystick.outcomes.endpoints import BY_OPERATOR, ENDPOINTS_MAX, OVERLAP_MS, SECRETS_MAX, URL_MAX, check_url
from tallystick.outcomes.model import EndpointState


async def rotate(world: World, endpoint_id: str) -> endpoints.NewSecret:
    return await endpoints.rotate(world.store, world.keyring, world.clock, world.randomness, endpoint_id)


async def secrets(world: World, endpoint_id: str) -> list[str]:
    endpoint = await world.store.read(lambda books: endpoints.find(books, endpoint_id))
    return [each.reveal() for each in endpoints.secrets_of(world.keyring, endpoint, world.clock.now())]


async def test_an_endpoint_belongs_to_a_channel_and_its_secret_is_shown_once_and_sealed(world: World) -> None:
    made = await world.endpoint("shop")
    assert [made.endpoint] == await world.store.read(lambda books: books.endpoints())
    assert ("shop", EndpointState.ACTIVE) == (made.endpoint.channel_id, made.endpoint.state)
    secret = made.secret.reveal()
    assert secret.startswith("whsec_")
    assert [secret] == await secrets(world, made.endpoint.id)
    assert secret not in repr(made)
    assert secret.removeprefix("whsec_").encode() not in made.endpoint.sealed


async def test_a_channel_that_is_not_registered_has_no_endpoint(world: World) -> None:
    with pytest.raises(NotFound):
        await world.endpoint("nobody")


async def test_a_channel_has_a_bounded_number_of_endpoints_and_takes_none_of_another(world: World) -> None:
    for _ in range(ENDPOINTS_MAX):
        await world.endpoint("shop")
    with pytest.raises(TooMany):
        await world.endpoint("shop")
    await world.endpoint("pc")


async def test_after_a_rotation_the_old_secret_signs_along_for_a_day(world: World) -> None:
    made = await world.endpoint()
    newer = await rotate(world, made.endpoint.id)
    both = [newer.secret.reveal(), made.secret.reveal()]
    assert both == await secrets(world, made.endpoint.id)
    await world.clock.advance(OVERLAP_MS - 1)
    assert both == await secrets(world, made.endpoint.id)
    await world.clock.advance(1)
    assert both[:1] == await secrets(world, made.endpoint.id)


async def test_a_second_rotation_does_not_lengthen_the_life_of_the_first_secret(world: World) -> None:
    made = await world.endpoint()
    second = await rotate(world, made.endpoint.id)
    await world.clock.advance(OVERLAP_MS - 1)
    third = await rotate(world, made.endpoint.id)
    await world.clock.advance(1)
    assert [third.secret.reveal(), second.secret.reveal()] == await secrets(world, made.endpoint.id)


async def test_a_fourth_secret_ends_the_oldest(world: World) -> None:
    made = await world.endpoint()
    for _ in range(SECRETS_MAX):
        await rotate(world, made.endpoint.id)
    left = await secrets(world, made.endpoint.id)
    assert len(left) == SECRETS_MAX
    assert made.secret.reveal() not in left


async def test_secrets_open_in_their_own_row_only(world: World) -> None:
    one, other = await world.endpoint("shop"), await world.endpoint("pc")
    moved = replace(other.endpoint, sealed=one.endpoint.sealed)
    with pytest.raises(Misconfigured) as refused:
        endpoints.secrets_of(world.keyring, moved, world.clock.now())
    assert refused.value.__cause__ is None


async def test_disabling_buries_what_waits_and_enabling_does_not_send_it(world: World) -> None:
    made = await world.endpoint()
    await world.payment()
    await world.move(DELIVERING, APPROVED)
    await world.announce()
    disabled = await endpoints.disable(world.store, made.endpoint.id)
    assert (EndpointState.DISABLED, BY_OPERATOR) == (disabled.state, disabled.reason)
    assert ([], 1) == (await world.waiting(), len(await world.dead()))
    enabled = await endpoints.enable(world.store, made.endpoint.id)
    assert (EndpointState.ACTIVE, None) == (enabled.state, enabled.reason)
    assert [] == await world.waiting()


async def test_an_unknown_endpoint_is_told_as_such(world: World) -> None:
    for verb in (endpoints.disable, endpoints.enable):
        with pytest.raises(NotFound):
            await verb(world.store, "we_none")
    with pytest.raises(NotFound):
        await rotate(world, "we_none")


@pytest.mark.parametrize("url", ["https://shop.example/", "https://shop.example:8443/a?b=c", "https://[2001:db8::1]/"])
def test_an_https_address_with_a_host_is_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/",
        "ftp://shop.example/",
        "shop.example",
        "",
        "https://",
        "https:///path",
        "https://user@shop.example/",
        "https://user:word@shop.example/",
        "https://@shop.example/",
        "https://shop.example/#here",
        "https://shop.example/#",
        "https://shop.example:port/",
        "https://shop.example:99999/",
        "https://[::1/",
        "https://shop.example/a b",
        "https://shop.example/\n",
        "https://shöp.example/",
        "https://shop.example/" + "a" * URL_MAX,
    ],
)
def test_any_other_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check_url(url)
    assert "url" == refused.value.field
    assert "shop.example" not in refused.value.detail
