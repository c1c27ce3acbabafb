"""Domain events: frozen, named, versioned records; and the registry by which a stored one is found again.

An event class is declared with `@event()`; its type name is the class name, its schema version a small integer. When a
payload must change, the class gets the next version and an upcaster from the version before (`@upcaster`), a pure
function from stored payload to stored payload; stored events stay as written (PLT-026). Field types are restricted to
what JSON holds readably: str, int, bool, date, datetime, enums, other frozen dataclasses, tuples and mappings of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")
Payload = dict[str, Any]

_EVENT_CLASSES: dict[str, type] = {}
_VERSIONS: dict[type, int] = {}
_UPCASTERS: dict[tuple[str, int], Callable[[Payload], Payload]] = {}


class UnknownEventError(LookupError):
    """A stored event has a type or a schema version this code does not know (PLT-026)."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(version: int = 1) -> Callable[[type[T]], type[T]]:
    """Declare an event class: a frozen, slotted, keyword-only dataclass registered under its class name."""

    def declare(cls: type[T]) -> type[T]:
        declared = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        name = declared.__name__
        if name in _EVENT_CLASSES and _EVENT_CLASSES[name].__module__ != declared.__module__:
            raise ValueError(f"event type {name} is declared twice")
        _EVENT_CLASSES[name] = declared
        _VERSIONS[declared] = version
        return declared

    return declare


def upcaster(name: str, from_version: int) -> Callable[[Callable[[Payload], Payload]], Callable[[Payload], Payload]]:
    """Register the pure step from `from_version` of the event type to the next version."""

    def register(step: Callable[[Payload], Payload]) -> Callable[[Payload], Payload]:
        _UPCASTERS[(name, from_version)] = step
        return step

    return register


def event_type(event_or_class: object) -> str:
    """The stored type name of an event or event class."""
    cls = event_or_class if isinstance(event_or_class, type) else type(event_or_class)
    return cls.__name__


def schema_version(event_or_class: object) -> int:
    """The schema version in which this code writes the event."""
    cls = event_or_class if isinstance(event_or_class, type) else type(event_or_class)
    return _VERSIONS[cls]


def event_class(name: str) -> type:
    """The class of an event type. Raises UnknownEventError."""
    try:
        return _EVENT_CLASSES[name]
    except KeyError:
        raise UnknownEventError(f"unknown event type {name}") from None


def event_classes() -> dict[str, type]:
    """All declared event classes by type name."""
    return dict(_EVENT_CLASSES)


def needs_upcast(name: str, version: int) -> bool:
    """Whether a payload stored in `version` must be upcast. Raises UnknownEventError for a version from the future."""
    current = _VERSIONS[event_class(name)]
    if version > current:
        raise UnknownEventError(f"event {name} has schema version {version}, this code knows {current}")
    return version < current


def upcast(name: str, version: int, payload: Payload) -> Payload:
    """The payload in the current schema version, by every step in between. Raises UnknownEventError."""
    current = _VERSIONS[event_class(name)]
    while version < current:
        step = _UPCASTERS.get((name, version))
        if step is None:
            raise UnknownEventError(f"no upcaster for {name} from schema version {version}")
        payload, version = step(payload), version + 1
    return payload
