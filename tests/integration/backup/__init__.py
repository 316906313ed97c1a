"""Backups on the real broker, registry and databases, without a worker."""
