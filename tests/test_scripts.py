"""The set-up that both scripts share: which Python it takes, what it says where none fits, when it reuses `.venv`; and
what scripts/test.sh makes of its arguments.

Nothing is installed here: the scripts, or bash functions of scripts/setup.sh, run in a copy, with made-up Pythons.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="the scripts are bash scripts, and there is no bash here")


@pytest.fixture
def tree(tmp_path, repository):
    """A copy of what setup.sh reads, in a folder with a space in its name."""
    root = tmp_path / "a tree"
    shutil.copytree(repository / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.lock", "setup.py"):
        shutil.copy(repository / name, root)
    return root


@pytest.fixture
def programs(tmp_path):
    """A PATH of its own: the few programs that the functions need, and no Python."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("bash", "cat", "date", "dirname", "env", "flock", "grep", "mkdir", "mv", "rm", "tail"):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return folder


def write_program(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


def real_python(folder, name):
    """A program that passes everything on to the Python of this process."""
    return write_program(folder / name, f'#!{BASH}\nexec "{sys.executable}" "$@"\n')


def made_up_python(folder, name, version, lacks=(), implementation="CPython"):
    """The Python of this process under another version, or without some of its modules."""
    numbers = tuple(int(part) for part in version.split("."))
    (folder / f"{name}.d").mkdir()
    (folder / f"{name}.d" / "sitecustomize.py").write_text(
        "import platform, sys\n"
        f"sys.version_info = {(*numbers, 'final', 0)!r}\n"
        f"platform.python_implementation = lambda: {implementation!r}\n"
        f"sys.modules.update(dict.fromkeys({list(lacks)!r}))\n"
    )
    # -S leaves site-packages (and an environment's own sitecustomize) out; the import below stands in for it.
    start = f"import sys; sys.path.insert(0, {str(folder / (name + '.d'))!r}); import sitecustomize"
    return write_program(folder / name, f'#!{BASH}\nexec "{sys.executable}" -S -c "{start}\n$2"\n')


def call(tree, programs, code, cwd=None, **variables):
    """Source setup.sh and run `code`, as demo.sh and test.sh do."""
    script = f'source "$TREE/scripts/setup.sh"\n{code}\n'
    return subprocess.run(
        [BASH, "-c", script],
        cwd=cwd or programs,
        env={"PATH": str(programs), "TREE": str(tree), **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
    )


def test_no_python_at_all(tree, programs):
    done = call(tree, programs, "find_python")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "none of: python3.11 python3.12 python3.13 python3 python (on the PATH)" in done.stderr
    assert "apt install python3.11 python3.11-venv" in done.stderr


def test_a_fitting_python_is_taken_in_the_order_of_the_lock(tree, programs):
    made_up_python(programs, "python3.13", "3.13.1")
    made_up_python(programs, "python3.12", "3.12.4")
    assert call(tree, programs, "find_python").stdout == f"{programs}/python3.12\n"
    made_up_python(programs, "python3.11", "3.11.9")
    assert call(tree, programs, "find_python").stdout == f"{programs}/python3.11\n"


@pytest.mark.parametrize(
    ("version", "options", "reason"),
    [
        ("3.9.2", {}, "version 3.9.2, too old"),
        ("3.14.0", {}, "version 3.14.0, too new: tensorflow-text has no wheel for it"),
        (
            "3.12.3",
            {"lacks": ["ensurepip"]},
            "lacks the module ensurepip: on Debian and Ubuntu, apt install python3.12-venv",
        ),
        ("3.11.2", {"lacks": ["venv"]}, "lacks the module venv: on Debian and Ubuntu, apt install python3.11-venv"),
        ("3.11.5", {"implementation": "PyPy"}, "version 3.11.5, not CPython but PyPy"),
    ],
)
def test_an_unfit_python_is_named_with_its_reason(tree, programs, version, options, reason):
    made_up_python(programs, "python3", version, **options)
    done = call(tree, programs, "find_python")
    assert done.returncode == 1
    assert f"{programs}/python3: " in done.stderr
    assert reason in done.stderr


def test_a_shim_that_does_not_run_is_passed_over(tree, programs, tmp_path):
    """pyenv leaves a python3.11 on the PATH that fails; a Python of the same name may follow further down."""
    write_program(programs / "python3.11", f"#!{BASH}\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n")
    alone = call(tree, programs, "find_python")
    assert alone.returncode == 1
    assert "python3.11: does not run (pyenv: python3.11: command not found)" in alone.stderr
    further = tmp_path / "further"
    further.mkdir()
    real_python(further, "python3.11")
    done = call(tree, programs, "find_python", PATH=f"{programs}:{further}")
    assert done.stdout == f"{further}/python3.11\n"


def test_the_named_python_is_the_only_one_tried(tree, programs):
    made_up_python(programs, "python3.11", "3.11.9")
    chosen = made_up_python(programs, "mine", "3.13.0")
    assert call(tree, programs, "find_python", MMKERAS_PYTHON=chosen).stdout == f"{chosen}\n"
    old = made_up_python(programs, "old", "3.8.0")
    done = call(tree, programs, "find_python", MMKERAS_PYTHON=old)
    assert done.returncode == 1
    assert "version 3.8.0, too old" in done.stderr
    assert "no such program" in call(tree, programs, "find_python", MMKERAS_PYTHON="/nowhere/python").stderr


def ready_environment(tree, programs):
    """A `.venv` as a finished set-up leaves it, but for the packages."""
    (tree / ".venv" / "bin").mkdir(parents=True)
    (tree / ".venv" / "mmkeras-made-this").touch()
    real_python(tree / ".venv" / "bin", "python")
    stamp = call(tree, programs, 'environment_stamp "$MMKERAS_VENV/bin/python"').stdout
    (tree / ".venv" / "mmkeras-stamp").write_text(stamp)
    return tree / ".venv"


def test_a_ready_environment_is_reused(tree, programs):
    """Without any Python on the PATH, from a folder whose files bear the names of standard modules."""
    venv = ready_environment(tree, programs)
    elsewhere = tree / "else where"
    elsewhere.mkdir()
    (elsewhere / "platform.py").write_text("raise SystemExit('a file of the caller stands in for a module')")
    before = sorted(path.name for path in venv.rglob("*"))
    done = call(tree, programs, "set_up_environment", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"mmkeras: ready: {venv} with Python {'.'.join(map(str, sys.version_info[:3]))}\n"
    assert sorted(path.name for path in venv.rglob("*")) == before


@pytest.mark.parametrize("change", ["lock", "setup.py", "place", "python", "named python"])
def test_a_changed_environment_is_not_ready(tree, programs, change):
    venv = ready_environment(tree, programs)
    variables = {}
    assert call(tree, programs, "environment_is_ready").returncode == 0
    if change == "lock":
        with (tree / "requirements.lock").open("a") as file:
            file.write("another==1.0\n")
    elif change == "setup.py":
        with (tree / "setup.py").open("a") as file:
            file.write("# changed\n")
    elif change == "place":
        tree = tree.rename(tree.parent / "another place")
    elif change == "python":
        (venv / "bin" / "python").unlink()
        made_up_python(venv / "bin", "python", "3.13.9")
    else:
        variables["MMKERAS_PYTHON"] = made_up_python(programs, "mine", "3.13.9")
    assert call(tree, programs, "environment_is_ready", **variables).returncode == 1


@pytest.fixture
def recorded_python(programs):
    """A python3.11 whose `-m venv` makes a `.venv` in which pip only writes down what it was asked."""
    inner = f"""#!{BASH}
if [[ "$1 $2" == "-m pip" ]]; then
  printf '%s\\n' "$*" >>"$CALLS"
  if [[ -n "${{PIP_FAILS:-}}" ]]; then echo "ERROR: no space left on device"; exit 1; fi
  exit 0
fi
exec "{sys.executable}" "$@"
"""
    write_program(programs / "inner", inner)
    outer = f"""#!{BASH}
if [[ "$1 $2" == "-m venv" ]]; then
  mkdir -p "$3/bin" && cat "{programs}/inner" >"$3/bin/python" && "{shutil.which("chmod")}" +x "$3/bin/python"
  exit
fi
exec "{sys.executable}" "$@"
"""
    return write_program(programs / "python3.11", outer)


def test_the_first_run_installs_from_the_lock_and_the_second_nothing(tree, programs, recorded_python, tmp_path):
    calls = tmp_path / "calls"
    first = call(tree, programs, "set_up_environment", CALLS=calls)
    assert first.returncode == 0, first.stderr
    locked, package = calls.read_text().splitlines()
    assert "--only-binary :all:" in locked
    assert locked.endswith(f"-r {tree}/requirements.lock")
    assert package.endswith(f"--no-deps --no-build-isolation -e {tree}")
    second = call(tree, programs, "set_up_environment", CALLS=calls)
    assert second.stdout.count("\n") == 1
    assert len(calls.read_text().splitlines()) == 2


def test_a_half_made_environment_is_made_anew(tree, programs, recorded_python, tmp_path):
    calls = tmp_path / "calls"
    failed = call(tree, programs, "set_up_environment\necho AFTER", CALLS=calls, PIP_FAILS="yes")
    assert failed.returncode == 1
    assert "AFTER" not in failed.stdout
    assert "no space left on device" in failed.stderr
    assert "error: pip could not install" in failed.stderr
    assert len(calls.read_text().splitlines()) == 1
    (tree / ".venv" / "left-over").touch()
    again = call(tree, programs, "set_up_environment", CALLS=calls)
    assert again.returncode == 0, again.stderr
    assert "making .venv anew" in again.stdout
    assert not (tree / ".venv" / "left-over").exists()


def test_an_environment_of_the_users_own_is_moved_aside(tree, programs, recorded_python, tmp_path):
    (tree / ".venv").mkdir()
    (tree / ".venv" / "precious").touch()
    done = call(tree, programs, "set_up_environment", CALLS=tmp_path / "calls")
    assert done.returncode == 0, done.stderr
    (aside,) = tree.glob(".venv-moved-aside-*")
    assert (aside / "precious").exists()
    assert str(aside) in done.stdout


@pytest.fixture
def run_script(tree, programs, tmp_path):
    """A function that runs .ci/run or scripts/test.sh with a Python that only writes down what it is to run.

    It has a PyTorch from the moment that pip is asked for one, if pip brings any.
    """
    shutil.copytree(Path(__file__).parent.parent / ".ci", tree / ".ci")
    venv, calls = ready_environment(tree, programs), tmp_path / "calls"
    write_program(
        venv / "bin" / "python",
        f"""#!{BASH}
case "$*" in
  *"import transformers"*) [[ -f "$CALLS.torch" ]] ;;
  *"import torch"*) if [[ -f "$CALLS.torch" ]]; then echo 2.13.0+cpu; else exit 1; fi ;;
  *os.cpu_count*) echo 3 ;;
  "-m pip"*) printf '%s\\n' "$*" >>"$CALLS"; [[ -z "${{PIP_FAILS:-}}" ]] || exit 1; : >"$CALLS.torch" ;;
  "-m ruff"*) ;;
  "-m pytest"*) printf '%s\\n' "$*, MMKERAS_TEST_PYTORCH=${{MMKERAS_TEST_PYTORCH:-}}" >>"$CALLS"
    [[ -z "${{PYTEST_FAILS:-}}" ]] ;;
  *) exec "{sys.executable}" "$@" ;;
esac
""",
    )

    def run(*arguments, script="scripts/test.sh", **variables):
        calls.write_text("")
        environment = {"PATH": str(programs), "CALLS": str(calls), **variables}
        done = subprocess.run(
            [BASH, tree / script, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        return done, calls.read_text().splitlines()

    return run


PYTEST = "-m pytest -n 3 --dist loadfile --no-loadscope-reorder"


@pytest.mark.parametrize(
    ("arguments", "variables", "asked"),
    [
        ([], {}, f"{PYTEST} -m not slow --color=auto"),
        (["tests/metrics", "-x", "--slow"], {"CI": "0"}, f"{PYTEST} --color=auto tests/metrics -x"),
        (["-n", "0"], {"CI": "false"}, f"{PYTEST} -m not slow --color=auto -n 0"),
    ],
)
def test_arguments_of_the_tests_go_to_pytest(run_script, arguments, variables, asked):
    done, [call] = run_script(*arguments, **variables)
    assert done.returncode == 0, done.stderr
    assert call == f"{asked}, MMKERAS_TEST_PYTORCH="
    assert "PyTorch: none (the comparisons with it are skipped; --pytorch installs it and runs them)" in done.stdout


@pytest.mark.parametrize(("arguments", "variables"), [(["--slow"], {}), ([], {"CI": "true"})])
def test_the_whole_suite_runs_in_two_halves_that_leave_nothing_out(run_script, repository, arguments, variables):
    done, calls = run_script(*arguments, **variables)
    assert done.returncode == 0, done.stderr
    first, second = (call.partition(",")[0].removeprefix(f"{PYTEST} --color=auto ").split() for call in calls)
    assert second == ["tests", *(f"--ignore={folder}" for folder in first)]
    assert all((repository / folder).is_dir() for folder in first)


def test_a_half_that_fails_does_not_hide_the_other(run_script):
    done, calls = run_script("--slow", PYTEST_FAILS="1")
    assert done.returncode == 1 and len(calls) == 2


def test_pytorch_is_installed_once_with_its_size_told_first(run_script, tree):
    done, [installed, tests] = run_script("--pytorch", "tests/pytorch")
    assert done.returncode == 0, done.stderr
    assert installed.endswith(f"--only-binary :all: -c {tree}/requirements.lock torch==2.13.0 transformers==5.24.0")
    assert tests == f"{PYTEST} -m not slow --color=auto tests/pytorch, MMKERAS_TEST_PYTORCH=1"
    told = done.stdout.index("190 MB"), done.stdout.index("several GB"), done.stdout.index("PyTorch: 2.13.0+cpu")
    assert list(told) == sorted(told)
    again, [tests] = run_script("--pytorch")
    assert tests.endswith("MMKERAS_TEST_PYTORCH=1") and "installing" not in again.stdout
    without, [tests] = run_script()
    assert tests.endswith("MMKERAS_TEST_PYTORCH=") and "PyTorch: 2.13.0+cpu, which .venv has" in without.stdout


def test_no_test_runs_where_pytorch_was_asked_for_and_cannot_be_had(run_script):
    done, calls = run_script("--pytorch", PIP_FAILS="yes")
    assert done.returncode == 1 and "pip could not install" in done.stderr
    assert len(calls) == 1


def test_continuous_integration_runs_the_slow_cases_and_those_with_pytorch(run_script):
    done, [_, tests] = run_script("-x", script=".ci/run")
    assert done.returncode == 0, done.stderr
    assert tests == f"{PYTEST} --color=auto -x, MMKERAS_TEST_PYTORCH=1"


def test_scripts_can_be_run(repository):
    for name in ("scripts/setup.sh", "scripts/demo.sh", "scripts/test.sh", ".ci/run"):
        path = Path(repository, name)
        assert path.read_text().startswith("#!/usr/bin/env bash\n"), name
        assert os.access(path, os.X_OK), name
        subprocess.run([BASH, "-n", path], check=True)
