"""ANYB, the amount not yet billed: what billed periods should have cost, less what invoices already carry.

It is never a counter. For every charge key of a billed period the corrected charge of today is compared with the key's
items on live invoices; the difference, in its parts charge and waiver line, is what the next invoice takes (PRM-120 to
PRM-131). A key is *billed* when its billing period has a live invoice of the account; a key never invoiced there counts
in full. The functions here compare; which items are live and which periods are billed, the register tells.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from domain.premium.charges import Charge, ChargeKey


class AnybKind(StrEnum):
    """As which kind of item the next invoice takes the key (PRM-126)."""

    RETRO = "RETRO"
    PRIOR_PERIOD_CHARGE = "PRIOR_PERIOD_CHARGE"


@dataclass(frozen=True, slots=True)
class InvoicedAmount:
    """What live invoices of the account carry for a charge key, in minor units; one value an item, or summed.

    `charge` and `waiver` are the two parts (PRM-121), `billing_start` the first day of the billing period of the item.
    `key.sequence` is the root of the lineage, so that what was invoiced under a replaced sequence counts (PRM-055).
    `sources` are the transactions that made the charge when it was invoiced, where known.
    """

    key: ChargeKey
    charge: int
    waiver: int
    billing_start: dt.date
    sources: tuple[str, ...] = ()

    @property
    def net(self) -> int:
        """Both parts together."""
        return self.charge + self.waiver


@dataclass(frozen=True, slots=True)
class AnybKey:
    """The amount not yet billed of one charge key, in minor units.

    `invoiced_*` and `corrected_*` are what was compared, part by part; `corrected` is the charge of today, None when
    the key costs nothing any more. `sources` are the transactions behind the difference.
    """

    key: ChargeKey
    kind: AnybKind
    billing_start: dt.date
    invoiced_charge: int
    invoiced_waiver: int
    corrected_charge: int
    corrected_waiver: int
    corrected: Charge | None
    sources: tuple[str, ...] = ()

    @property
    def charge(self) -> int:
        """The charge part: corrected gross charge less what is invoiced."""
        return self.corrected_charge - self.invoiced_charge

    @property
    def waiver(self) -> int:
        """The waiver part: corrected waiver line less what is invoiced."""
        return self.corrected_waiver - self.invoiced_waiver

    @property
    def amount(self) -> int:
        """ANYB of the key: both parts together."""
        return self.charge + self.waiver

    @property
    def is_open(self) -> bool:
        """Whether there is anything to bill; parts that cancel each other out are."""
        return self.charge != 0 or self.waiver != 0
