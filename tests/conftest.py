"""What every test shares."""

import os

import pytest
from hypothesis import settings
from softhsm import SoftToken, make_token

# A busy machine must not fail a property: examples are bounded in number, not in time.
settings.register_profile("tallystick", deadline=None)
settings.load_profile("tallystick")


@pytest.fixture(scope="session")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """Make the one token of this process, whose library reads its settings when it is first loaded."""
    token = make_token(tmp_path_factory.mktemp("softhsm"))
    os.environ.update(token.environment)
    return token
