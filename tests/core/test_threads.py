"""Threads follow the CPU quota of a container, and the user's own settings stay."""

import ast
import os
import subprocess
import sys

import nbformat
import pytest

from course_utils.core import threads
from course_utils.lessons import notebooks

pytestmark = pytest.mark.slow


def control_groups(tmp_path, lines, files):
    """A fake /proc/self/cgroup and /sys/fs/cgroup; returns both paths."""
    groups = tmp_path / "groups"
    groups.write_text(lines)
    for name, text in files.items():
        file = tmp_path / "mounted" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return groups, tmp_path / "mounted"


V1 = "cpu.cfs_quota_us", "cpu.cfs_period_us"


@pytest.mark.parametrize(
    "lines, files, quota",
    [
        ("0::/\n", {"cpu.max": "100000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000", "cpu.max": "max 100000"}, 0.5),
        # a container that sees its own group as the root, under its name outside
        ("0::/docker/1f\n", {"cpu.max": "200000 100000\n"}, 2),
        ("4:cpu,cpuacct:/\n", {f"cpu,cpuacct/{V1[0]}": "-1\n"}, None),
        (
            "4:cpu,cpuacct:/docker/1f\n3:memory:/docker/1f\n",
            {f"cpu,cpuacct/{V1[0]}": "100000\n", f"cpu,cpuacct/{V1[1]}": "100000\n"},
            1,
        ),
        (
            "4:cpuacct,cpu:/pod\n",
            {f"cpu/pod/{V1[0]}": "250000", f"cpu/pod/{V1[1]}": "100000"},
            2.5,
        ),
        ("5:cpuset:/\n", {"cpuset/cpu.max": "100000 100000"}, None),
        ("0::/\n", {"cpu.max": "broken\n"}, None),
        ("", {}, None),
    ],
)
def test_quota_is_read_from_control_groups(tmp_path, lines, files, quota):
    # pitfall: environment: threads beyond a container's quota
    assert threads.cpu_quota(*control_groups(tmp_path, lines, files)) == quota


def test_no_control_groups_mean_no_quota(tmp_path):
    assert threads.cpu_quota(tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(
    "quota, cores, allowed",
    [(1, 16, 1), (1.5, 16, 2), (0.2, 2, 1), (4, 4, None), (None, 4, None)],
)
def test_quota_is_rounded_up_to_whole_threads(quota, cores, allowed):
    assert threads.threads_allowed(quota, cores) == allowed


def threads_of(first_lines, **environment):
    """Threads of torch, numba and OpenCV in a new process of two cores or more."""
    code = f"{first_lines}\nimport torch, numba, cv2, os\n"
    code += "print(torch.get_num_threads(), numba.get_num_threads(),"
    code += " cv2.getNumThreads(), os.environ.get('GOMP_SPINCOUNT'))"
    names = (*threads.VARIABLES.values(), "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    clean = {k: v for k, v in os.environ.items() if k not in names} | environment
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


QUOTA = "from course_utils.core import threads; threads.fit_threads(quota=0.7)"
several = pytest.mark.skipif(
    threads.threads_allowed(1) is None, reason="one core has one thread"
)


@several
@pytest.mark.parametrize("loaded", ["", "import torch, numba, cv2\n"])
def test_a_quota_of_one_processor_gives_one_thread(loaded):
    assert threads_of(loaded + QUOTA)[:3] == ["1", "1", "1"]


@several
def test_what_the_user_set_stays():
    found = threads_of(QUOTA, OMP_NUM_THREADS="2", GOMP_SPINCOUNT="7")
    assert found == ["2", "1", "1", "7"]
    assert threads_of(QUOTA, OMP_WAIT_POLICY="passive")[3] == "None"


def test_idle_threads_do_not_spin():
    # pitfall: environment: threads that spin
    assert threads_of("import course_utils")[3] == threads.SPINS


@several
def test_compiled_parallel_code_leaves_the_threads_of_torch():
    code = "import torch\nfrom course_utils.ops.roi import roi_pool\n"
    code += "torch.set_num_threads(1)\n"
    code += "roi_pool(torch.rand(1, 1, 8, 8), [torch.tensor([[0.0, 0, 4, 4]])], 2)"
    assert threads_of(code)[0] == "1"


def test_check_environment_tells_the_threads(monkeypatch):
    line = threads.describe_threads()
    assert "threads: torch " in line and "container" not in line
    monkeypatch.setattr(threads, "cpu_quota", lambda: 1.0)
    assert "the container may use 1 of" in threads.describe_threads()


def first_import(path):
    """What a lesson's first import statement imports."""
    code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    nodes = ast.walk(ast.parse(code[0]))
    node = next(n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)))
    return node.names[0].name


@pytest.mark.parametrize("path", notebooks.lessons(), ids=lambda p: p.stem)
def test_lessons_set_threads_before_torch_is_loaded(path):
    assert first_import(path) == "course_utils"


def test_the_package_itself_loads_no_torch():
    code = "import course_utils, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
