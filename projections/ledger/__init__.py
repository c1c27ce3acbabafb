"""The ledger: every event that moves money, as a balanced journal entry."""
