"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from proxy.config.loading import Loaded
    from proxy.config.source import Setting
    from proxy.config.units import Address

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """`--config FILE`."""
    return click.option(
        "--config",
        "-c",
        "path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Configuration file.  [default: ./config.yaml if there is one, else every setting's default]",
    )(command)


def set_option(command: Command) -> Command:
    """`--set section.key=value`, any number of times."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one setting, as in cache.memory=128MiB or routes.0.strategy=cache-first. Repeatable.",
    )(command)


class AddressType(click.ParamType["Address"]):
    """HOST:PORT as an option's value; the URL of that address is taken for it."""

    name = "H:P"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        from proxy.config.units import Address

        try:
            return Address.parse(_of_url(value) if isinstance(value, str) else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _of_url(text: str) -> str:
    """HOST:PORT of a URL that says no more than that; any other text as it is."""
    match = re.fullmatch(r"http://([^/?#@]+)/?", text.strip(), re.IGNORECASE)
    if match is None:
        return text
    return match[1] if re.search(r":\d+$", match[1]) else f"{match[1]}:80"


def loaded(path: Path | None, overrides: Sequence[str | Setting] = (), directory: Path | None = None) -> Loaded:
    """The configuration that a command runs on. Raises ConfigurationError."""
    from proxy.config.loading import load

    return load(chosen_file(path), env=os.environ, overrides=overrides, directory=directory)


def chosen_file(path: Path | None) -> Path | None:
    """The named file, or ./config.yaml if there is one, or None."""
    if path is None and (default := Path("config.yaml")).exists():
        return default
    return path
