"""What the Payment Hub names: a reference is one payment for ever (PAY-026), an event counts once (PAY-022)."""

from __future__ import annotations

from dataclasses import dataclass

from domain.aggregate import Aggregate
from domain.events import event


@event()
class HubPaymentAccepted:
    """A hub payment was accepted under its reference; `fingerprint` identifies its body.

    `answer` is what was answered, as JSON; empty in events from before it was kept.
    """

    reference: str
    payment: str
    fingerprint: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class HubPayment:
    """State of a hub reference; empty before its payment was accepted."""

    reference: str = ""
    payment: str = ""
    fingerprint: str = ""
    answer: str = ""


def evolve(state: HubPayment, happened: object) -> HubPayment:
    match happened:
        case HubPaymentAccepted():
            return HubPayment(happened.reference, happened.payment, happened.fingerprint, happened.answer)
        case _:
            raise TypeError(f"not an event of a hub reference: {type(happened).__name__}")


HUB_PAYMENT = Aggregate("hub_payment", HubPayment, HubPayment(), evolve)


@event()
class HubPaymentEventTaken:
    """A status event of the hub was taken; under its id it is never taken again."""

    hub_event_id: str
    payment: str
    type: str


@dataclass(frozen=True, slots=True)
class HubPaymentEvent:
    """State of a hub event's id; empty before the event was taken."""

    payment: str = ""
    type: str = ""


def evolve_event(state: HubPaymentEvent, happened: object) -> HubPaymentEvent:
    match happened:
        case HubPaymentEventTaken():
            return HubPaymentEvent(happened.payment, happened.type)
        case _:
            raise TypeError(f"not an event of a hub event's id: {type(happened).__name__}")


HUB_PAYMENT_EVENT = Aggregate("hub_payment_event", HubPaymentEvent, HubPaymentEvent(), evolve_event)
