"""What is kept of cascades for those who work on them: the port over their read model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from domain.members.cascade import CascadeOutcome
from domain.products.master_policy import CascadeResult


class Cascades(Protocol):
    """Which cascades are on their way, and how far."""

    def running(self) -> list[str]:
        """Cascades that have begun and not ended, oldest first."""
        ...

    def size_of(self, master_policy: str) -> int:
        """How many member records the policy has."""
        ...

    def records_among(self, master_policy: str, numbers: Sequence[str]) -> frozenset[str]:
        """Those of the numbers that are member records of the policy."""
        ...

    def without_result(self, cascade: str, master_policy: str, after: str, limit: int) -> list[str]:
        """Member records of the policy behind `after` that have no result in the cascade, ascending (PRM-150)."""
        ...

    def counts(self, cascade: str) -> Mapping[CascadeOutcome, int]:
        """How many records have each result."""
        ...

    def results(self, cascade: str, limit: int) -> list[CascadeResult]:
        """The results of the first records, ascending."""
        ...
