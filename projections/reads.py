"""Reading read models inside the snapshot of one query: SQL with table names in braces.

Tables of the register go by their own names (`{item}`), those of other read models with theirs in front
(`{ledger_entry}`). The queries stand beside the read model they read: `projections/<name>/reads.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from projections.engine import ReadSession
from projections.read_models import FOLLOWING, INLINE
from projections.register.fold import register

Row = dict[str, Any]


class Reads:
    """The rows of one session."""

    def __init__(self, session: ReadSession) -> None:
        self._session = session

    @cached_property
    def tables(self) -> dict[str, str]:
        """The quoted name of every table that a query may name."""
        names = {table.name: self._session.table(register.name, table.name) for table in register.tables}
        for model in (*INLINE[1:], *FOLLOWING):
            for table in model.tables:
                names[f"{model.name}_{table.name}"] = self._session.table(model.name, table.name)
        return names

    def fetch(self, query: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a query."""
        return self._session.fetch(query.format_map(self.tables), parameters)
