"""`cachewire serve`: the edge itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.commands.options import config_option, loaded, set_option

if TYPE_CHECKING:
    from proxy.config.loading import Loaded

_EPILOG = """\b
Examples:
  cachewire serve --origin http://127.0.0.1:3000
  cachewire serve --config /etc/cachewire/config.yaml
  CACHEWIRE__ADMIN__TOKEN=... cachewire serve --set admin.listen=0.0.0.0:8081
"""


@click.command(epilog=_EPILOG)
@config_option
@click.option("--origin", metavar="URL", help="The application to stand in front of; overrides origin.url.")
@set_option
@click.pass_context
def serve(ctx: click.Context, path: Path | None, origin: str | None, overrides: tuple[str, ...]) -> None:
    """Run the edge in front of an application.

    Stops on SIGTERM or Ctrl-C after open exchanges have finished, within server.drain_timeout; a second signal stops
    at once. SIGHUP reads the configuration again.
    """
    from proxy.config.source import Setting

    option = [] if origin is None else [Setting("origin.url", origin, "--origin")]

    def read() -> Loaded:
        return loaded(path, [*overrides, *option])

    result = read()
    from proxy.listening import listening_early

    early = listening_early(result.config.server.listen)
    from proxy.process import run

    ctx.exit(run(result.config, sources=result.sources, announce=click.echo, early=early, read_again=read))
