"""The read models of the service, in one set: what the projector feeds, a rebuild builds and a query reads."""

from projections.cascades.fold import cascades
from projections.engine import Projection, ProjectionSet
from projections.ledger.fold import ledger
from projections.register.fold import register
from projections.search.fold import search

#: Folded in the transaction of the command that writes the events.
INLINE: tuple[Projection, ...] = (register, cascades)
#: Fed behind the log by the projector.
FOLLOWING: tuple[Projection, ...] = (ledger, search)


def read_models() -> ProjectionSet:
    """All read models."""
    return ProjectionSet((*INLINE, *FOLLOWING))
