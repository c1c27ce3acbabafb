"""The two due-day pickers of a semi-monthly schedule: what each offers, and what a choice in one does to the other."""

from __future__ import annotations

from dataclasses import dataclass

_PRIMARY = tuple(range(1, 28))


@dataclass(frozen=True, slots=True)
class DueDayPickers:
    """The pickers as they stand; None is a blank picker. A fresh value is the initial state (CAL-070)."""

    primary: int | None = None
    secondary: int | None = None

    @property
    def primary_options(self) -> tuple[int, ...]:
        """Days the primary picker offers: always 1 to 27."""
        return _PRIMARY

    @property
    def secondary_enabled(self) -> bool:
        """Whether the secondary picker can be used: once the primary is confirmed."""
        return self.primary is not None

    @property
    def secondary_options(self) -> tuple[int, ...]:
        """Days the secondary picker offers: those after the primary, to 31; none while it is disabled."""
        return () if self.primary is None else tuple(range(self.primary + 1, 32))

    def with_primary(self, day: int) -> DueDayPickers:
        """Confirm or change the primary; a change blanks the secondary, even one that would still fit (CAL-072).

        Raises ValueError for a day that is not offered.
        """
        if day not in _PRIMARY:
            raise ValueError(f"day {day} is not offered")
        return self if day == self.primary else DueDayPickers(day)

    def with_secondary(self, day: int) -> DueDayPickers:
        """Choose the secondary; the primary and the options stay as they are (CAL-071).

        Raises ValueError for a day that is not offered.
        """
        if day not in self.secondary_options:
            raise ValueError(f"day {day} is not offered")
        return DueDayPickers(self.primary, day)
