"""What is wrong with the file that keeps tuning is said in words, with what happens now."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.tuning.kept import Kept, read_kept, write_kept
from proxy.tuning.state import Chosen, HandSet


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Invalid JSON: EOF while parsing"),
        ("5", "Input should be an object"),
        ("[]", "Input should be an object"),
        ('{"version": 2}', "version: Input should be 1"),
        ('{"version": 1, "preset": 7}', "preset: Input should be an object"),
        (
            '{"version": 1, "preset": {"name": "fast", "by": "anna", "at": 1}}',
            "preset.name: Input should be 'default', ",
        ),
        (
            '{"version": 1, "preset": {"name": "default", "by": "anna", "at": NaN}}',
            "preset.at: Input should be a finite",
        ),
        ('{"version": 1, "values": [1]}', "values: Input should be an object"),
        ('{"version": 1, "auto": "no"}', "auto: Input should be a valid boolean"),
        (" " * 70_000, "it is larger than 64 KiB"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong_and_what_happens_now(
    tmp_path: Path, content: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tuning.json"
    path.write_text(content)
    assert read_kept(path) == Kept()
    (warning,) = caplog.messages
    assert warning.startswith(f"{path} is not used ({said}")
    assert warning.endswith("): nothing of it is in force, the configuration counts")


def test_a_value_that_is_damaged_is_named_with_what_is_wrong_and_the_others_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tuning.json"
    good = '{"value": "48MiB", "by": "anna", "at": 1}'
    path.write_text(
        f'{{"version": 1, "values": {{"realtime.debounce": 7, "cache.dir": {good}, "cache.memory": {good}}}}}'
    )
    assert read_kept(path) == Kept(values={"cache.memory": HandSet(48 * 2**20, "anna", 1.0)})
    assert [message.removeprefix(f"{path}: ").partition("):")[0] for message in caplog.messages] == [
        "realtime.debounce is left out (Input should be an object",
        "cache.dir is left out (it cannot be changed while running",
    ]


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    values = {"cache.memory": HandSet(2**20, "anna", 1.5), "realtime.transports": HandSet(("polling",), "bo", 2.0)}
    kept = Kept(Chosen("low-bandwidth", "anna", 3.0), values, auto=False)
    write_kept(tmp_path / "tuning.json", kept)
    assert read_kept(tmp_path / "tuning.json") == kept
