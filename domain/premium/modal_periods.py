"""The modal periods of a member record over its accounts, whatever is charged in them (CAL-101 to CAL-104)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from domain.calendar.frequency import Frequency
from domain.calendar.periods import ModalGrid, ModalPeriod
from domain.premium.account_terms import AccountTerms
from domain.premium.timeline import Timeline


def modal_periods(
    timeline: Timeline, accounts: Mapping[str, AccountTerms], first: dt.date, end: dt.date
) -> list[ModalPeriod]:
    """The modal periods that share a day with [first, end); none when no account in `accounts` bills the record.

    They stick to month ends or not as the grid of the account that bills the record last does (CAL-046, CAL-101).
    """
    modalities = tuple(_modalities(timeline, accounts))
    if not modalities:
        return []
    sticky = next(
        accounts[one.account].invoicing.sticky for one in reversed(timeline.segments) if one.account in accounts
    )
    grid = ModalGrid(timeline.terms.anchor, modalities, timeline.terms.term_expiration, sticky)
    return list(grid.periods_between(first, end))


def _modalities(timeline: Timeline, accounts: Mapping[str, AccountTerms]) -> Iterator[tuple[dt.date, Frequency]]:
    """The modality from each day on: that of the record where it has one, else that of its account on the day."""
    for segment in timeline.segments:
        day = segment.start
        while segment.in_force and segment.account in accounts and day < segment.end:
            if segment.modality is not None:
                modality, day_after = segment.modality, segment.end
            else:
                rule = accounts[segment.account].modality_on(day)
                modality, day_after = rule.modality, min(rule.end, segment.end)
            yield day, modality
            day = day_after
