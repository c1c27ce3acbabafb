"""A figure and its floor, and how it is shown.

`ratio` is value : floor for rates and floor : value for times, so that more is always better; `wanted` is the ratio
that is to be reached. A floor of nothing better is a number agreed on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure. `value` and `floor` are in `unit`."""

    name: str
    value: float
    floor: float
    ratio: float
    unit: str
    wanted: float

    @property
    def reached(self) -> bool:
        return self.ratio >= self.wanted

    def record(self) -> dict[str, object]:
        """As one JSON record."""
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "floor": round(self.floor, 3),
            "ratio": round(self.ratio, 3),
            "unit": self.unit,
        }


def rate(name: str, value: float, floor: float, unit: str, wanted: float) -> Measure:
    """A figure of which more is better."""
    return Measure(name, value, floor, value / floor, unit, wanted)


def duration(name: str, value: float, floor: float, unit: str, wanted: float) -> Measure:
    """A figure of which less is better."""
    return Measure(name, value, floor, floor / value, unit, wanted)
