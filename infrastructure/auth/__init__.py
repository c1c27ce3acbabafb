"""Authentication adapters: OpenID Connect tokens, API keys, and the built-in issuer of the sandbox."""
