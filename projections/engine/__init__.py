"""The projection engine: the one way from the log to the rows that queries read.

Declare a read model with `Projection`, `Table`, `Column`, `Index` and handlers over `Rows`. `InlineProjections` feeds
those of mode INLINE in the transactions of commands, a `Projector` the FOLLOWING ones behind them; `Rebuilder` builds
them anew beside the live ones and verifies them; `ReadModels` opens snapshots for queries; `Statuses` tells where each
stands.

What it promises: every event takes effect once, whatever is killed when (PLT-101). The rows depend on the log alone:
dropped and built again, in whatever batches, inline or behind, they are the same, byte for byte. An event that cannot
be folded stops one projection, visibly, in front of that event. Readers never wait.
"""

from projections.engine.columns import Column
from projections.engine.inline import InlineError, InlineProjections, NotReadyError
from projections.engine.log_source import LogSource
from projections.engine.projection import Mode, Projection, ProjectionError, ProjectionSet
from projections.engine.projector import Projector
from projections.engine.rebuild import Outcome, Progress, Rebuilder, RebuildReport, VerifyReport
from projections.engine.rows import Rows
from projections.engine.session import ReadModels, ReadSession
from projections.engine.status import ProjectionCollector, ProjectionStatus, Statuses
from projections.engine.table import Index, Row, Table

__all__ = [
    "Column",
    "Index",
    "InlineError",
    "InlineProjections",
    "LogSource",
    "Mode",
    "NotReadyError",
    "Outcome",
    "Progress",
    "Projection",
    "ProjectionCollector",
    "ProjectionError",
    "ProjectionSet",
    "ProjectionStatus",
    "Projector",
    "ReadModels",
    "ReadSession",
    "RebuildReport",
    "Rebuilder",
    "Row",
    "Rows",
    "Statuses",
    "Table",
    "VerifyReport",
]
