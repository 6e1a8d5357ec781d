"""`cachewire password`: the hash of a password, for admin.password_hash."""

from __future__ import annotations

import sys

import click

_EPILOG = """\b
Examples:
  cachewire password                           asks twice, without showing what is typed
  pass show cachewire | cachewire password --stdin
"""


@click.command(epilog=_EPILOG)
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from standard input: its first line.")
def password(from_stdin: bool) -> None:
    """Make the hash of a password for the dashboard.

    Prints nothing but the hash, which goes into admin.password_hash; the password itself is kept nowhere.
    """
    from proxy.passwords import PasswordHash

    given = sys.stdin.readline(2000).rstrip("\r\n") if from_stdin else _asked()
    try:
        made = PasswordHash.of(given)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(str(made))
    click.echo(
        "\nInto the configuration file, quoted:\n"
        "  admin:\n"
        "    password_hash: '...'\n"
        "or into the environment as CACHEWIRE__ADMIN__PASSWORD_HASH: in a shell in single quotes, in a compose file\n"
        "with each $ doubled. Then start Cachewire anew.",
        err=True,
    )


def _asked() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True))
