"""What the README shows can be used as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.config import load

README = (Path(__file__).parents[2] / "README.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted(set(re.findall(r"^\.venv/bin/cachewire (\w+)", README, re.MULTILINE)))


def test_there_are_examples_and_commands() -> None:
    assert EXAMPLES
    assert COMMANDS


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_configuration_it_shows_is_right(number: int, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(EXAMPLES[number])
    assert load(path, env={}).config.routes


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_it_names_exists(command: str) -> None:
    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_every_file_it_links_to_is_there(target: str) -> None:
    assert (Path(__file__).parents[2] / target).exists()


@pytest.mark.parametrize("variable", re.findall(r"make run ([A-Z=0-9.: /a-z]+)`", README)[0].split())
def test_every_variable_it_gives_to_make_is_known_there(variable: str) -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert re.search(rf"^{variable.partition('=')[0]} \?=", makefile, re.MULTILINE)
