"""Public fakes and sandbox back ends, for our tests and everybody's."""
