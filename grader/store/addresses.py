"""Addresses of databases: read, shown without what is secret in them, and why nothing answers at one.

An address that cannot be used is never repeated: a password whose special characters are not written as %XX stands
wherever it may, and makes up the host or the database of the rest.
"""

from __future__ import annotations

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from grader.errors import UsageError

_NONE = (
    "GRADER_DATABASE_URL is not an address of a database; use sqlite:///FILE or "
    "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE. Characters of the password other than letters, digits and "
    "- _ . ~ are written as %40 for @, %3A for :, %2F for /, %25 for %"
)
_POSTGRESQL = ("postgresql", "postgresql+psycopg", "postgres")
_SECRET = ("password", "passfile", "sslpassword")  # of libpq's options
_ATTEMPT = re.compile(r"^(connection failed: |connection is bad: |connection to server [^\n]*? failed: |FATAL: +)+")


def read_address(url: str) -> URL:
    """The parts of an address of SQLite or PostgreSQL. Raises UsageError."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError(_NONE) from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return parsed
    if "@" in (parsed.host or "") + (parsed.database or ""):
        raise UsageError(_NONE)
    if parsed.drivername not in _POSTGRESQL:
        raise UsageError(
            f"GRADER_DATABASE_URL: {parsed.drivername} is not known; use sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE"
        )
    if "plugin" in parsed.query:  # SQLAlchemy would import it
        raise UsageError("GRADER_DATABASE_URL: PostgreSQL has no option 'plugin'")
    if not parsed.database:
        raise UsageError("GRADER_DATABASE_URL names no database: postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE")
    return parsed.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """An address for people: without its password, in whichever part it stands."""
    return url.difference_update_query(_SECRET).render_as_string(hide_password=True)


def no_connection(url: URL, error: DBAPIError) -> str:
    """What the driver says of a connection that was not made, in one line, with what to do about the likely causes."""
    said = str(error.orig).split("\n\t")[0].strip()  # libpq asks a question of its own there
    said = " ".join(_ATTEMPT.sub("", said).split())
    return f"GRADER_DATABASE_URL: no connection to {shown(url)}: {said}{_advice(url, said)}"


def _advice(url: URL, said: str) -> str:
    """By the words of libpq: before there is a connection, it gives no code. Other languages go without."""
    at = f"{url.host or url.query.get('host') or 'this machine'}, port {url.port or 5432}"
    if "password authentication failed" in said or "no password supplied" in said:
        return "; user or password is wrong"
    if re.search(r"database .* does not exist", said):
        return f"; make it: createdb --owner={url.username or 'grader'} {url.database}"
    if re.search(r"role .* does not exist", said):
        return f"; make this user: createuser --pwprompt {url.username or 'grader'}"
    if "Connection refused" in said or "No such file or directory" in said:
        return f"; is PostgreSQL running at {at}?"
    if "resolve host" in said:
        return "; is the host's name right?"
    if "timeout" in said:
        return f"; is {at}, reached from here, or does a firewall stand between?"
    return ""
