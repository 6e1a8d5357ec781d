"""The command line. Exit status: 0 done, 1 something failed while running, 2 the configuration or the call is wrong."""

from __future__ import annotations

from typing import Any

import click

from proxy.commands.configuration import check, config
from proxy.commands.demo import demo
from proxy.commands.explain import explain
from proxy.commands.password import password
from proxy.commands.purge import purge
from proxy.commands.serve import serve
from proxy.commands.top import top
from proxy.commands.warm import warm
from proxy.errors import CachewireError, ConfigurationError
from proxy.version import __version__

_EPILOG = """\b
Examples:
  cachewire demo                               a sample application behind the edge
  cachewire serve --origin http://127.0.0.1:3000
  cachewire serve --config config.yaml --set cache.memory=256MiB
  cachewire check                              is ./config.yaml right?
  cachewire explain /api/reports               why was this a miss?
  cachewire purge --prefix /api/ --dry-run     how many would go?
  cachewire top                                what is it doing just now?

Every setting can also be given as CACHEWIRE__SECTION__KEY in the environment.
"""


class _Commands(click.Group):
    """Lists commands as a newcomer needs them, and turns the product's own errors into a text and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            click.echo(f"cachewire: error: the configuration cannot be used\n\n{error}", err=True)
            ctx.exit(2)
        except CachewireError as error:
            click.echo(f"cachewire: error: {error}", err=True)
            ctx.exit(1)


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="cachewire", message="%(prog)s %(version)s")
def main() -> None:
    """A service worker for your server: a caching edge in front of an existing web application."""


for _command in (serve, demo, check, config, explain, purge, warm, top, password):
    main.add_command(_command)
