"""The demonstration: a group is enrolled, billed, changed and paid for some months, through the real service."""
