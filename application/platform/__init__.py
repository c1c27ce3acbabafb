"""Use cases of the platform: API keys and parameters."""

from application.platform import api_keys, parameters

__all__ = ["api_keys", "parameters"]
