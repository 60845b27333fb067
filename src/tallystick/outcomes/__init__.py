"""Tell those who wait: the event log, the endpoints of channels, and the webhooks that are on their way."""
