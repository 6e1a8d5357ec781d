"""`cachewire purge`: remove stored responses, or mark them stale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.commands.options import AddressType, config_option
from proxy.errors import CachewireError

if TYPE_CHECKING:
    from proxy.config.units import Address


@click.command(
    epilog="""\b
Examples:
  cachewire purge /api/reports
  cachewire purge --prefix /uploads/ --dry-run
  cachewire purge --tag report-17 --soft
  cachewire purge --everything
"""
)
@click.argument("url", required=False)
@click.option("--prefix", metavar="P", help="Everything whose URL or path begins with P.")
@click.option("--glob", metavar="G", help="Everything whose path matches G, as in '/api/**'.")
@click.option("--tag", metavar="T", help="Everything that carries the tag T.")
@click.option("--route", metavar="R", help="Everything that the route named R stored.")
@click.option("--everything", is_flag=True, help="Everything.")
@click.option("--soft", is_flag=True, help="Mark stale instead of removing: still there when the origin fails.")
@click.option("--dry-run", is_flag=True, help="Only say how many.")
@click.option("--admin", type=AddressType(), help="Address of the admin listener.  [default: admin.listen]")
@click.option("--listen", type=AddressType(), help="Address that a bare path is meant on.  [default: server.listen]")
@config_option
def purge(
    url: str | None,
    soft: bool,
    dry_run: bool,
    everything: bool,
    admin: Address | None,
    listen: Address | None,
    path: Path | None,
    **selectors: str | None,
) -> None:
    """Purge what is stored for URL (or a path), or whatever one of the options selects."""
    from proxy.commands.listeners import Listeners

    chosen: dict[str, Any] = {name: value for name, value in selectors.items() if value is not None}
    if url is not None:
        chosen["url"] = url
    if everything:
        chosen["everything"] = True
    if len(chosen) != 1:
        raise click.UsageError("say what to purge, one of: URL, --prefix, --glob, --tag, --route, --everything")
    if any(value == "" for value in chosen.values()):
        raise click.UsageError("an empty value selects nothing; to purge everything say --everything")
    listeners = Listeners.of(path, listen, admin)
    if url is not None:
        chosen["url"] = listeners.url(url)
    count = listeners.post("/api/cache/purge", {**chosen, "soft": soft, "dry_run": dry_run}).get("count")
    if not isinstance(count, int):
        raise CachewireError(f"the admin API on {listeners.admin} gave no count; is it the same version?")
    click.echo(_sentence(count, soft=soft, dry_run=dry_run))


def _sentence(count: int, *, soft: bool, dry_run: bool) -> str:
    what = f"{count} stored response{'' if count == 1 else 's'}"
    if dry_run:
        return f"would mark {what} stale" if soft else f"would purge {what}"
    return f"marked {what} stale" if soft else f"purged {what}"
