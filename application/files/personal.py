"""Values about a person that must not show themselves: not in a log line, nor a traceback (PLT-086, PLT-092).

Their attributes hold the plain text, for the code that encrypts, matches or displays it with a privilege; their
representation says only what kind of value it is. Data classes P2 to P4 live here and nowhere else in the records.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


class Masked:
    """Base of values that are personal: `repr` and `str` never contain a field's value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, repr=False)
class Confidential(Masked):
    """One personal text, such as a subscriber number (often a social security number) or a payer's account number."""

    value: str


@dataclass(frozen=True, slots=True, repr=False)
class PersonIdentifier(Masked):
    """An identifier and its qualifier: `34` social security number, `ZZ` agreed between partners, `EI`, `N`, `II`."""

    qualifier: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class PersonName(Masked):
    """A name as sent; absent parts are empty."""

    last: str = ""
    first: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class PostalAddress(Masked):
    """An address as sent; absent parts are empty. `location` is a qualifier (`CY` county, `60` area) and its value."""

    lines: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    location: tuple[str, str] = ("", "")
    subdivision: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Contact(Masked):
    """A number or address and its kind: `HP` home, `WP` work, `CP` cell phone, `EM` e-mail, `EX` extension."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class Language(Masked):
    """A language a person uses: code list qualifier, code, description, use."""

    qualifier: str = ""
    code: str = ""
    description: str = ""
    use: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Income(Masked):
    """A wage in minor units for a frequency code, with weekly hours and salary grade as sent."""

    frequency: str
    minor: int
    hours: str = ""
    location: str = ""
    grade: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class HealthInformation(Masked):
    """Health-related code (tobacco, substance use) and, as sent, height and weight. Class P4."""

    code: str
    height: str = ""
    weight: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Disability(Masked):
    """A disability: kind, diagnosis qualifier and code, first and last day. Class P4."""

    kind: str
    qualifier: str = ""
    code: str = ""
    begin: dt.date | None = None
    end: dt.date | None = None


@dataclass(frozen=True, slots=True, repr=False)
class PersonDetails(Masked):
    """Everything personal about a member: name, identifiers, birth date, contact, sex, health (classes P2 to P4).

    `ethnicities` are composites of race or ethnicity code, code list qualifier and code, as sent.
    """

    name: PersonName = PersonName()
    entity_type: str = "1"
    identifiers: tuple[PersonIdentifier, ...] = ()
    birth_date: dt.date | None = None
    gender: str = ""
    marital_status: str = ""
    ethnicities: tuple[tuple[str, ...], ...] = ()
    citizenship: str = ""
    ethnicity_collection: tuple[str, str] = ("", "")
    residence: PostalAddress | None = None
    mailing: PostalAddress | None = None
    contacts: tuple[Contact, ...] = ()
    languages: tuple[Language, ...] = ()
    incomes: tuple[Income, ...] = ()
    health: HealthInformation | None = None
    disabilities: tuple[Disability, ...] = ()
    death_date: dt.date | None = None

    @property
    def social_security_number(self) -> str | None:
        """The identifier with qualifier 34, if one was sent."""
        return next((item.value for item in self.identifiers if item.qualifier == "34"), None)


@dataclass(frozen=True, slots=True, repr=False)
class Party(Masked):
    """Another person or organisation named with a member: employer, school, custodial parent, provider.

    `role` is the entity code sent (`36` employer, `M8` school, `S3` custodial parent, `P3` primary care provider).
    """

    role: str
    entity_type: str = "1"
    name: PersonName = PersonName()
    identifiers: tuple[PersonIdentifier, ...] = ()
    relationship: str = ""
    contact_name: str = ""
    contacts: tuple[Contact, ...] = ()
    address: PostalAddress | None = None
