"""Billing customers: group sponsors, their units, and insured individuals."""
