"""What the tests of adapters share."""

import pytest
from iso8583_world import Place, make_place
from visa_world import World, make_world


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("iso8583"))


@pytest.fixture(scope="session")
def visa(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("visa"))
