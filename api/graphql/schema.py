"""The schema: one root made of the queries of every room."""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from api.graphql.accounts import AccountQueries
from api.graphql.calendars import CalendarQueries
from api.graphql.explain import ExplainQueries
from api.graphql.installments import InstallmentQueries
from api.graphql.invoices import InvoiceQueries
from api.graphql.ledger import LedgerQueries
from api.graphql.member_figures import MemberFigureQueries
from api.graphql.members import MemberQueries
from api.graphql.operations import OperationQueries
from api.graphql.paid_to_date import PaidToDateQueries
from api.graphql.parameters import ParameterQueries
from api.graphql.payments import PaymentQueries
from api.graphql.products import ProductQueries
from api.graphql.scalars import SCALARS
from api.graphql.search import SearchQueries
from api.graphql.structure import StructureQueries
from api.graphql.tasks import TaskQueries

#: The rooms' queries. Whoever adds a room adds its class here.
QUERIES: tuple[type, ...] = (
    AccountQueries,
    InvoiceQueries,
    PaymentQueries,
    ProductQueries,
    MemberQueries,
    CalendarQueries,
    InstallmentQueries,
    StructureQueries,
    SearchQueries,
    PaidToDateQueries,
    MemberFigureQueries,
    ExplainQueries,
    LedgerQueries,
    TaskQueries,
    ParameterQueries,
    OperationQueries,
)


class _Schema(strawberry.Schema):
    def process_errors(self, errors: Any, execution_context: Any = None) -> None:
        """The executor logs and tells errors; nothing is logged twice."""


def schema() -> strawberry.Schema:
    """The schema of the service."""
    return _Schema(
        query=merge_types("Query", QUERIES), config=StrawberryConfig(auto_camel_case=True, scalar_map=SCALARS)
    )
