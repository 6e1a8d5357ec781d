"""Which memory limit applies, read from files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.operations.memory import Budget, look

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine of 8 GiB on which the process has 100 MiB in memory, in no control group."""
    write(tmp_path, "proc/meminfo", "MemTotal:        8388608 kB\nMemFree:   1 kB\n")
    write(tmp_path, "proc/self/statm", f"90000 {100 * MIB // PAGE} 2000 1 0 5000 0\n")
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def version_2(root: Path, group: str, limit: str, stat: str = "") -> None:
    write(root, "proc/self/cgroup", f"0::{group}\n")
    write(root, f"sys/fs/cgroup{group}/memory.max", f"{limit}\n")
    write(root, f"sys/fs/cgroup{group}/memory.stat", stat)


def test_without_any_limit_the_machine_is_the_budget(root: Path) -> None:
    memory = look(root=root)
    assert memory.budget == Budget(8192 * MIB, "machine")
    assert memory.share == pytest.approx(100 / 8192)


def test_a_configured_budget_counts_when_it_is_smaller(root: Path) -> None:
    assert look(512 * MIB, root).budget == Budget(512 * MIB, "configuration")
    assert look(64 * 1024 * MIB, root).budget == Budget(8192 * MIB, "machine")


def test_the_limit_of_a_nested_control_group_counts(root: Path) -> None:
    version_2(root, "/system.slice/edge.service", str(400 * MIB))
    memory = look(root=root)
    assert memory.budget == Budget(400 * MIB, "cgroup", root / "sys/fs/cgroup/system.slice/edge.service")
    assert memory.share == pytest.approx(0.25)


def test_a_smaller_limit_around_it_counts_more(root: Path) -> None:
    version_2(root, "/system.slice/edge.service", "max")
    write(root, "sys/fs/cgroup/system.slice/memory.max", str(200 * MIB))
    assert look(root=root).budget == Budget(200 * MIB, "cgroup", root / "sys/fs/cgroup/system.slice")


def test_the_tightest_of_configuration_and_control_group_is_the_budget(root: Path) -> None:
    version_2(root, "/a", str(400 * MIB))
    budget = look(300 * MIB, root).budget
    assert budget is not None
    assert budget.source == "configuration"


def test_in_a_container_the_hosts_path_is_not_there_and_the_mounted_root_is(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/docker/0123abcd\n")
    write(root, "sys/fs/cgroup/memory.max", str(128 * MIB))
    budget = look(root=root).budget
    assert budget == Budget(128 * MIB, "cgroup", root / "sys/fs/cgroup")


def test_the_limit_of_a_group_of_version_1_counts(root: Path) -> None:
    write(root, "proc/self/cgroup", "5:cpu,memory:/lxc/7\n1:name=systemd:/x\n0::/\n")
    write(root, "sys/fs/cgroup/memory/lxc/7/memory.limit_in_bytes", str(256 * MIB))
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    budget = look(root=root).budget
    assert budget == Budget(256 * MIB, "cgroup", root / "sys/fs/cgroup/memory/lxc/7")


def test_an_unlimited_group_of_version_1_is_no_limit(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:memory:/\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    budget = look(root=root).budget
    assert budget is not None
    assert budget.source == "machine"


def test_what_others_in_the_group_use_counts_and_the_page_cache_does_not(root: Path) -> None:
    stat = f"anon {250 * MIB}\nfile {900 * MIB}\nshmem {50 * MIB}\n"
    version_2(root, "/a", str(400 * MIB), stat)
    assert look(root=root).share == pytest.approx(0.75)


def test_the_group_of_version_1_counts_with_those_below_it(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:memory:/a\n")
    write(root, "sys/fs/cgroup/memory/a/memory.limit_in_bytes", str(400 * MIB))
    stat = f"cache 5\nrss 7\nshmem 3\ntotal_rss {200 * MIB}\ntotal_shmem {100 * MIB}\n"
    write(root, "sys/fs/cgroup/memory/a/memory.stat", stat)
    assert look(root=root).share == pytest.approx(0.75)


@pytest.mark.parametrize("damage", ["", "nonsense", "-1", "1e9", "\x00\xff"])
def test_files_that_say_nothing_are_no_limit(root: Path, damage: str) -> None:
    version_2(root, "/a", damage, damage)
    write(root, "proc/self/cgroup", f"0::/a\n{damage}\n:::\n0::/../..\n")
    assert look(root=root).budget == Budget(8192 * MIB, "machine")


def test_where_the_system_tells_nothing_nothing_is_told(tmp_path: Path) -> None:
    assert look(root=tmp_path).share is None
    assert look(MIB, tmp_path).budget == Budget(MIB, "configuration")
    assert look(MIB, tmp_path).share is None


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc (Linux)")
def test_this_very_process_uses_some_of_its_budget() -> None:
    share = look().share
    assert share is not None
    assert 0 < share < 1
