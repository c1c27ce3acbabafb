"""The nine frequencies, their paymodes and steps (CAL-013). Used for invoicing, modality and payroll alike."""

from __future__ import annotations

from enum import StrEnum


class Frequency(StrEnum):
    """An invoicing frequency or premium modality."""

    WEEKLY = "WEEKLY"
    BIWEEKLY = "BIWEEKLY"
    EVERY_28_DAYS = "EVERY_28_DAYS"
    SEMI_MONTHLY = "SEMI_MONTHLY"
    MONTHLY = "MONTHLY"
    BIMONTHLY = "BIMONTHLY"
    QUARTERLY = "QUARTERLY"
    SEMI_ANNUAL = "SEMI_ANNUAL"
    ANNUAL = "ANNUAL"

    @property
    def paymode(self) -> int:
        """Periods a year by which an annual amount is divided (PRM-021)."""
        return _PAYMODE[self]

    @property
    def is_cycle(self) -> bool:
        """CYCLE category: steps of whole days; otherwise PERIOD category (CAL-013)."""
        return self in _CYCLE_DAYS

    @property
    def is_month_based(self) -> bool:
        """PERIOD category without SEMI_MONTHLY (CAL-013)."""
        return self in _MONTHS

    @property
    def days(self) -> int:
        """Days of one cycle, for CYCLE frequencies. Raises KeyError otherwise."""
        return _CYCLE_DAYS[self]

    @property
    def months(self) -> int:
        """Months of one step, for month-based frequencies. Raises KeyError otherwise."""
        return _MONTHS[self]

    @property
    def day_offset_limit(self) -> int:
        """Largest absolute day offset of the due date (CAL-013, CAL-023)."""
        return _DAY_OFFSET_LIMIT[self]


_CYCLE_DAYS = {Frequency.WEEKLY: 7, Frequency.BIWEEKLY: 14, Frequency.EVERY_28_DAYS: 28}
_MONTHS = {
    Frequency.MONTHLY: 1,
    Frequency.BIMONTHLY: 2,
    Frequency.QUARTERLY: 3,
    Frequency.SEMI_ANNUAL: 6,
    Frequency.ANNUAL: 12,
}
_PAYMODE = {
    Frequency.WEEKLY: 52,
    Frequency.BIWEEKLY: 26,
    Frequency.EVERY_28_DAYS: 13,
    Frequency.SEMI_MONTHLY: 24,
    Frequency.MONTHLY: 12,
    Frequency.BIMONTHLY: 6,
    Frequency.QUARTERLY: 4,
    Frequency.SEMI_ANNUAL: 2,
    Frequency.ANNUAL: 1,
}
_DAY_OFFSET_LIMIT = {
    Frequency.WEEKLY: 6,
    Frequency.BIWEEKLY: 13,
    Frequency.EVERY_28_DAYS: 27,
    Frequency.SEMI_MONTHLY: 14,
    Frequency.MONTHLY: 29,
    Frequency.BIMONTHLY: 59,
    Frequency.QUARTERLY: 89,
    Frequency.SEMI_ANNUAL: 179,
    Frequency.ANNUAL: 364,
}
