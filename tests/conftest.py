"""What holds for every test."""

from __future__ import annotations

import os

import hypothesis
import pytest

# A busy machine is no fault: how fast something is belongs into bench/.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(f"{report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test proves nothing: where all tools are installed, as in CI, it fails the run."""
    if _skipped and os.environ.get("FORBID_SKIPS"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and os.environ.get("FORBID_SKIPS"):
        terminalreporter.section("skipped although FORBID_SKIPS is set", red=True)
        for line in _skipped:
            terminalreporter.write_line(line)
