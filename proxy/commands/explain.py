"""`cachewire explain`: what the edge would do with a request, and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.commands.options import AddressType, config_option
from proxy.errors import CachewireError

if TYPE_CHECKING:
    from proxy.config.units import Address

_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")


@click.command(
    epilog="""\b
Examples:
  cachewire explain /api/reports
  cachewire explain https://example.com/uploads/r1.jpg
  cachewire explain /api/auth/session -H 'Cookie: session=u7'
"""
)
@click.argument("url")
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="A request field. Repeatable.")
@click.option("--admin", type=AddressType(), help="Address of the admin listener.  [default: admin.listen]")
@click.option("--listen", type=AddressType(), help="Address that a bare path is meant on.  [default: server.listen]")
@config_option
def explain(
    url: str, headers: tuple[str, ...], admin: Address | None, listen: Address | None, path: Path | None
) -> None:
    """Say in plain sentences what the running edge does with a GET of URL (or of a path), and why."""
    from proxy.commands.listeners import Listeners

    fields = [parse_field(header) for header in headers]
    listeners = Listeners.of(path, listen, admin)
    query = [("url", listeners.url(url)), *(("header", f"{name}: {value}") for name, value in fields)]
    lines = listeners.get("/api/explain", query).get("lines")
    if not isinstance(lines, list):
        raise CachewireError(f"the admin API on {listeners.admin} gave no explanation; is it the same version?")
    for line in lines:
        click.echo(line)


def parse_field(text: str) -> tuple[str, str]:
    """Name and value of a `Name: value` option. Raises UsageError."""
    match = _FIELD.fullmatch(text)
    if match is None:
        raise click.UsageError(f"{text!r} is not a header field; write 'Name: value'")
    return match[1], match[2].rstrip(" \t")
