"""Public JSON shapes, shared by the service and the SDK."""
