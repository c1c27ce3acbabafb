"""Declares every command of the service: importing this module fills the registry of commands and handlers."""

from application import (
    accounts,
    calendars,
    cascades,
    customers,
    dead_letters,
    invoices,
    members,
    payment_plans,
    payments,
    payroll,
    platform,
    premium_checks,
    products,
    scheduled_invoices,
    setups,
    tasks,
)

__all__ = [
    "accounts",
    "calendars",
    "cascades",
    "customers",
    "dead_letters",
    "invoices",
    "members",
    "payment_plans",
    "payments",
    "payroll",
    "platform",
    "premium_checks",
    "products",
    "scheduled_invoices",
    "setups",
    "tasks",
]
