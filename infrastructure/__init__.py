"""Adapters: event store, PostgreSQL, jobs, file formats, keys and tokens."""
