"""The configuration file that ships with Cachewire."""

from __future__ import annotations

from pathlib import Path

from proxy.errors import ConfigurationError

_PACKAGED = Path(__file__).with_name("shipped.yaml")
_CHECKOUT = Path(__file__).parents[2] / "config.yaml"


def shipped_file() -> Path:
    """Where it is: inside the installed package, or at the top of a checkout."""
    # The package comes first: beside an installed package, a config.yaml would be somebody else's.
    for path in (_PACKAGED, _CHECKOUT):
        if path.is_file():
            return path
    raise ConfigurationError(
        "the configuration that ships with Cachewire is missing; install it again, or give --config"
    )
