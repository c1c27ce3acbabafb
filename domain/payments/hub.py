"""The Payment Hub's references: each names one payment for ever (PAY-026)."""

from __future__ import annotations

from dataclasses import dataclass

from domain.aggregate import Aggregate
from domain.events import event


@event()
class HubPaymentAccepted:
    """A hub payment was accepted under its reference; `fingerprint` identifies its body."""

    reference: str
    payment: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class HubPayment:
    """State of a hub reference; empty before its payment was accepted."""

    reference: str = ""
    payment: str = ""
    fingerprint: str = ""


def evolve(state: HubPayment, happened: object) -> HubPayment:
    match happened:
        case HubPaymentAccepted():
            return HubPayment(happened.reference, happened.payment, happened.fingerprint)
        case _:
            raise TypeError(f"not an event of a hub reference: {type(happened).__name__}")


HUB_PAYMENT = Aggregate("hub_payment", HubPayment, HubPayment(), evolve)
