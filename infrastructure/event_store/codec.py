"""Domain events to stored payloads and back.

A payload is canonical JSON, members sorted and without blanks, made straight from the event's dataclass; its hash in
the chain is over this very text (PLT-024). Reading builds the dataclass with a decoder per event type and schema
version; a payload of an older version is upcast first, members nobody knows any more are ignored, and a type or version
this code does not know is left to the reader to deal with (PLT-026). Exact fractions are stored as
`numerator/denominator`; a floating-point field is refused when the type is first used, for no figure may ever depend on
one.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
from msgspec import inspect

from domain.events import Payload, event_class, event_type, needs_upcast, schema_version, upcast

Decode = Callable[[bytes], Any]


class PayloadTypeError(Exception):
    """A type has no exact place in a payload: a float, or a kind of value that the hooks below do not know.

    No TypeError, because msgspec takes one out of a hook for a wrong value and reports a ValidationError instead.
    """


def encode_hook(value: object) -> object:
    """How values beyond JSON's own are written. Raises PayloadTypeError for a type without such a form."""
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise PayloadTypeError(f"{type(value).__name__} cannot be stored")


def decode_hook(kind: type, value: object) -> object:
    """How they are read again. Raises PayloadTypeError for a type without such a form."""
    if kind is Fraction:
        return Fraction(str(value))
    raise PayloadTypeError(f"{kind.__name__} cannot be read from {type(value).__name__}")


#: Encodes any dataclass or JSON value as canonical JSON.
canonical = msgspec.json.Encoder(enc_hook=encode_hook, order="sorted").encode


def typed_decoder(cls: type) -> Decode:
    """A function from canonical JSON to an instance of the dataclass. Raises PayloadTypeError for a float inside it."""
    _refuse_floats(inspect.type_info(cls), cls.__name__, set())
    return msgspec.json.Decoder(cls, dec_hook=decode_hook).decode


class Decoders(dict[tuple[str, int], Decode]):
    """Decoders by (type, schema version), built when first asked for. Raises UnknownEventError for an unknown one."""

    def __missing__(self, key: tuple[str, int]) -> Decode:
        name, version = key
        decoder = self[key] = _upcasting(name, version) if needs_upcast(name, version) else _direct(name)
        return decoder


class Encoders(dict[type, tuple[str, int]]):
    """Type name and schema version by event class; the class is proven to be readable again when first written."""

    def __missing__(self, cls: type) -> tuple[str, int]:
        typed_decoder(cls)
        named = self[cls] = event_type(cls), schema_version(cls)
        return named


#: The decoders and names of this process; both only ever grow.
decoders = Decoders()
named = Encoders()


def _direct(name: str) -> Decode:
    return typed_decoder(event_class(name))


def _upcasting(name: str, version: int) -> Decode:
    cls = event_class(name)
    _direct(name)
    to_json_values = msgspec.json.Decoder(Payload).decode

    def decode(payload: bytes) -> Any:
        current = upcast(name, version, to_json_values(payload))
        return msgspec.convert(current, cls, dec_hook=decode_hook)

    return decode


def _refuse_floats(node: object, path: str, seen: set[int]) -> None:
    """Walk msgspec's description of a type."""
    if isinstance(node, inspect.FloatType):
        raise PayloadTypeError(f"{path} is a float")
    if isinstance(node, inspect.Field):
        _refuse_floats(node.type, f"{path}.{node.name}", seen)
    elif isinstance(node, inspect.Type) and id(node) not in seen:
        seen.add(id(node))
        for member in node.__struct_fields__:
            value = getattr(node, member)
            for inner in value if isinstance(value, tuple) else (value,):
                _refuse_floats(inner, path, seen)
