"""Names, to find accounts and people by."""
