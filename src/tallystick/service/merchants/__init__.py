"""The merchants' listener: the payments API for holders of API keys."""
