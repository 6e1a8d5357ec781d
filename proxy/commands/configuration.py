"""`cachewire check` and `cachewire config`: look at the configuration without running it."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.commands.options import chosen_file, config_option, loaded, set_option


@click.command(
    epilog="""\b
Examples:
  cachewire check
  cachewire check --config staging.yaml --set origin.url=http://10.0.0.7:3000
"""
)
@config_option
@set_option
def check(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Check the configuration: errors with file, line and what would be right; notes on what may not be meant.

    Exit status 2 if it cannot be used.
    """
    from proxy.config.checks import overlap_notes, realtime_notes, takes_everything

    config = loaded(path, overrides).config
    name = chosen_file(path) or "No file; the defaults"
    routes = "1 route" if len(config.routes) == 1 else f"{len(config.routes)} routes"
    click.echo(f"{name}: right. {routes}, {config.server.listen} -> {config.origin.url}")
    for note in [*overlap_notes(config.routes), *realtime_notes(config.realtime)]:
        click.echo(f"note: {note}")
    if not takes_everything(config.routes):
        click.echo("note: requests that no route matches go to the origin and are never stored.")


@click.command(
    epilog="""\b
Examples:
  cachewire config                             effective values and where each comes from
  cachewire config --defaults > config.yaml    a file to start from
  cachewire config --schema                    for editors that know JSON Schema
"""
)
@click.option(
    "--effective",
    "view",
    flag_value="effective",
    default=True,
    help="All values that an edge starts with, and their source.",
)
@click.option("--defaults", "view", flag_value="defaults", help="All defaults, as a file that loads.")
@click.option("--schema", "view", flag_value="schema", help="The JSON Schema of the file.")
@click.option("--reference", "view", flag_value="reference", help="Every key and its meaning, as Markdown.")
@config_option
@set_option
def config(view: str, path: Path | None, overrides: tuple[str, ...]) -> None:
    """Print the configuration. Secrets are masked."""
    from proxy.config import rendering
    from proxy.config.model import Config

    match view:
        case "defaults":
            text = rendering.render_yaml(Config())
        case "schema":
            text = rendering.json_schema()
        case "reference":
            text = rendering.render_reference()
        case _:
            from proxy.as_started import as_started

            result = as_started(loaded(path, overrides))
            text = rendering.render_yaml(result.config, result.sources)
    click.echo(text, nl=False)
