"""When what is not billed yet was last worked out, account by account and record by record (PRM-124).

decision: a figure that is worked out again and stays what it is leaves no event, for nothing happened. That somebody
looked, and when, is kept beside the log; the time at which a figure last changed is in its event.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AnybTime:
    """The last calculation of an account; `kept` holds, by record, when those it left as they were had been worked
    out before (None: never)."""

    calculated_at: dt.datetime
    kept: Mapping[str, dt.datetime | None]

    def of_record(self, member_record: str) -> dt.datetime | None:
        """When a record's figure on the account was last worked out by such a calculation."""
        return self.kept.get(member_record, self.calculated_at)


class AnybTimes(Protocol):
    """Keeps these times."""

    def calculated(self, account: str, at: dt.datetime, kept: Mapping[str, str]) -> None:
        """Note that an account was worked out, but for the `kept` records, each with the code of its reason."""
        ...

    def of(self, accounts: Iterable[str]) -> dict[str, AnybTime]:
        """The times of those accounts that were worked out at all."""
        ...


def latest(moments: Iterable[dt.datetime | None], as_of: dt.datetime | None = None) -> dt.datetime | None:
    """The latest of the moments that are known, and not after an instant."""
    return max((one for one in moments if one is not None and (as_of is None or one <= as_of)), default=None)
