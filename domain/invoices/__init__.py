"""Invoices: which period is next, what goes on the bill, what is stated, and how it is undone."""
