"""`cachewire demo`: the sample application as a process of its own, and the edge in front of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.commands.options import AddressType, loaded, set_option

if TYPE_CHECKING:
    from proxy.config.loading import Loaded
    from proxy.config.model import Config
    from proxy.config.units import Address


@click.command(
    epilog="""\b
Examples:
  cachewire demo
  cachewire demo --listen 127.0.0.1:9080 --admin 127.0.0.1:9081 --origin-listen 127.0.0.1:9030
"""
)
@click.option("--listen", metavar="H:P", help="Public listener; overrides server.listen.")
@click.option("--admin", metavar="H:P", help="Admin listener; overrides admin.listen.")
@click.option(
    "--origin-listen",
    type=AddressType(),
    default="127.0.0.1:3000",
    show_default=True,
    help="Where the sample application listens.",
)
@click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file.  [default: the one that ships with Cachewire]",
)
@set_option
@click.pass_context
def demo(
    ctx: click.Context,
    listen: str | None,
    admin: str | None,
    origin_listen: Address,
    path: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Run the sample application and the edge in front of it.

    The application is a process of its own: stop it, slow it down or kill it, and see what the edge makes of that.
    """
    from proxy.commands.demo_origin import DemoOrigin
    from proxy.config.shipped import shipped_file
    from proxy.config.source import Setting

    options = [("server.listen", listen, "--listen"), ("admin.listen", admin, "--admin")]
    settings = [Setting(key, value, option) for key, value, option in options if value is not None]
    # The shipped file may lie where nothing should be written, so its cache is kept in the working directory.
    file, directory = (path, None) if path else (shipped_file(), Path.cwd())

    # The sample application has no passwords to check, so the shipped file's caution would only lock everybody out.
    believed: list[str | Setting] = [] if path else [Setting("realtime.auth", "trusted", "cachewire demo")]

    def configured(url: str) -> Loaded:
        given = [*believed, *overrides, *settings, Setting("origin.url", url, "--origin-listen")]
        return loaded(file, given, directory)

    # A mistake should show before anything is started; a port 0 is known only afterwards.
    likely = configured(f"http://{origin_listen}").config if origin_listen.port else None
    from proxy.process import run

    publish = _publishing(likely)
    token = None if likely is None else likely.admin.token
    with DemoOrigin(origin_listen, announce=click.echo, publish=publish, token=token) as origin:
        result = configured(origin.url)
        hints = _hints(result.config, origin.url)
        status = run(
            result.config,
            sources=result.sources,
            announce=click.echo,
            banner_hints=hints,
            read_again=lambda: configured(origin.url),
        )
    ctx.exit(status)


def _publishing(config: Config | None) -> str | None:
    """Where the application may publish, as far as that is known before anything has started."""
    if config is None or not config.realtime.enabled or not config.admin.listen.port:
        return None
    return f"http://{config.admin.listen}/api/realtime/publish"


def _hints(config: Config, origin_url: str) -> list[str]:
    chaos = f"curl -X POST {origin_url}/demo/chaos -d"
    pages = [
        ("open", config.server.listen, "the application through the edge"),
        ("watch", config.admin.listen, "the dashboard"),
    ]
    return [
        # A port 0 is known only when the edge announces its listeners.
        *(f"  {verb:9}  http://{address}/  {what}" for verb, address, what in pages if address.port),
        f"""  break it   {chaos} '{{"mode":"down"}}'   and the edge keeps answering""",
        f"""  mend it    {chaos} '{{"mode":"ok"}}'""",
        "  stop       Ctrl-C",
    ]
