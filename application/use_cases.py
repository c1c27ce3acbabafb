"""Declares every command of the service: importing this module fills the registry of commands and handlers."""

from application import (
    accounts,
    calendars,
    customers,
    invoices,
    members,
    payments,
    platform,
    products,
    setups,
)

__all__ = [
    "accounts",
    "calendars",
    "customers",
    "invoices",
    "members",
    "payments",
    "platform",
    "products",
    "setups",
]
