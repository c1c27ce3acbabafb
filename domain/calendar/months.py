"""Months as plain numbers: their lengths, days limited to them, and month arithmetic on dates.

A month is named by its *month number*, `year * 12 + month - 1`, so that stepping is addition. A day is limited to the
length of its month, never carried into the next one: day 31 of February is its last day.
"""

from __future__ import annotations

import datetime as dt

_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def month_number(day: dt.date) -> int:
    """The number of the month that holds the day."""
    return day.year * 12 + day.month - 1


def month_length(month: int) -> int:
    """Days of a month, given by its number."""
    year, index = divmod(month, 12)
    if index == 1 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _LENGTHS[index]


def day_of_month(month: int, day: int) -> dt.date:
    """Day `day` (1-31) of the month, limited to its length: `min(day, L)`."""
    year, index = divmod(month, 12)
    if day > 28:
        day = min(day, month_length(month))
    return dt.date(year, index + 1, day)


def add_months(day: dt.date, months: int) -> dt.date:
    """Plain month arithmetic: the same day of the month `months` later (negative: earlier), limited to its length."""
    return day_of_month(month_number(day) + months, day.day)


def is_month_end(day: dt.date) -> bool:
    """Whether the day is the actual last day of its own month and year (CAL-046)."""
    return day.day == month_length(month_number(day))
