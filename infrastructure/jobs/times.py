"""At what time of day jobs start: as their parameters say on the day, else as they are shipped (PLT-052, PLT-110)."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from application.job_runs import JobDefinition
from domain.platform.parameters import PARAMETER, ParameterState, identifiers_for, parameter, value_in_force
from infrastructure.event_store.streams import fold_rows, load_call
from infrastructure.postgres.database import Database

_START_TIME = "job.start_time"
_ZONE = "platform.time_zone"


class JobTimes:
    """Reads the times from the log: of a job of its own name, then that of the parameter its definition names."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def zone(self, on: dt.date) -> ZoneInfo:
        """The zone of the jobs' times on a day."""
        kind = parameter(_ZONE)
        states = self._states(list(identifiers_for(kind, {})))
        return ZoneInfo(str(value_in_force(kind, {}, list(states.values()), on).value))

    def start_of(self, definition: JobDefinition, on: dt.date) -> dt.time | None:
        """The time of day at which a daily job starts on a day, None when it has none."""
        wanted = [(_START_TIME, {"job": definition.type.name})]
        if definition.start_parameter is not None:
            wanted.append((definition.start_parameter, {}))
        asked = [(parameter(name), keys, identifiers_for(parameter(name), keys)) for name, keys in wanted]
        states = self._states([one for _, _, identifiers in asked for one in identifiers])
        for kind, keys, identifiers in asked:
            value = value_in_force(kind, keys, [states[one] for one in identifiers if one in states], on).value
            if isinstance(value, str):
                return dt.time.fromisoformat(value)
        return definition.starts_at

    def _states(self, identifiers: list[str]) -> dict[str, ParameterState]:
        streams = {PARAMETER.stream(one): one for one in identifiers}
        with self._database.writing() as connection:
            [rows] = connection.round_trip(load_call(PARAMETER, list(streams)))
        return {streams[stream]: folded.state for stream, folded in fold_rows(PARAMETER, rows)}
