"""What every test shares."""

from hypothesis import settings

# A busy machine must not fail a property: examples are bounded in number, not in time.
settings.register_profile("tallystick", deadline=None)
settings.load_profile("tallystick")
