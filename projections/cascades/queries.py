"""Reading cascades inside a unit of work, and beside one: the SQL behind the port `Cascades`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from application.cascade_results import Cascades
from domain.members.cascade import CascadeOutcome
from domain.products.master_policy import CascadeResult
from projections.register.queries import _Queries


class CascadeQueries(_Queries):
    """Port `Cascades`."""

    def running(self) -> list[str]:
        sql = "select cascade from {cascades_cascade} where status = 'RUNNING' and followed order by position"
        return [row[0] for row in self._rows(sql, {})]

    def size_of(self, master_policy: str) -> int:
        return int(
            self._value("select count(*) from {member} where master_policy = %(policy)s", {"policy": master_policy})
        )

    def records_among(self, master_policy: str, numbers: Sequence[str]) -> frozenset[str]:
        if not numbers:
            return frozenset()
        sql = "select member from {member} where master_policy = %(policy)s and member = any(%(numbers)s)"
        return frozenset(row[0] for row in self._rows(sql, {"policy": master_policy, "numbers": list(numbers)}))

    def without_result(self, cascade: str, master_policy: str, after: str, limit: int) -> list[str]:
        sql = (
            "select member from {member} as m where master_policy = %(policy)s and member > %(after)s and not exists"
            " (select from {cascades_record} as r where r.cascade = %(cascade)s and r.member = m.member)"
            " order by member limit %(limit)s"
        )
        parameters = {"cascade": cascade, "policy": master_policy, "after": after, "limit": limit}
        return [row[0] for row in self._rows(sql, parameters)]

    def counts(self, cascade: str) -> Mapping[CascadeOutcome, int]:
        sql = "select result, count(*) from {cascades_record} where cascade = %(cascade)s group by result"
        found = {CascadeOutcome(result): int(count) for result, count in self._rows(sql, {"cascade": cascade})}
        return {outcome: found.get(outcome, 0) for outcome in CascadeOutcome}

    def results(self, cascade: str, limit: int) -> list[CascadeResult]:
        sql = (
            "select member, result, code from {cascades_record} where cascade = %(cascade)s"
            " order by member limit %(limit)s"
        )
        return [CascadeResult(*row) for row in self._rows(sql, {"cascade": cascade, "limit": limit})]


#: The queries behind the port.
PORTS: Final[Mapping[type, Any]] = {Cascades: CascadeQueries}
