"""oneDNN is found, loaded at its first use and bound; one line names a missing part."""

import os
import platform
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

import jaxcnn
from jaxcnn import onednn
from jaxcnn.errors import InputError
from jaxcnn.onednn import library
from tests.cases import many

ROOT = Path(jaxcnn.__file__).parents[1]

here = pytest.mark.skipif(onednn.missing() is not None, reason=str(onednn.missing()))
linux = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="not Linux x86-64"
)

OURS = (
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "OMP_",
    "GOMP_",
    "LD_LIBRARY_PATH",
    library.SWITCH,
)


def in_a_child(code, *options, **variables):
    """The standard output and error of a fresh process with these environment variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        [sys.executable, *options, "-c", f"from jaxcnn import onednn\n{code}"],
        env=kept | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.removesuffix("\n"), done.stderr


MISSING = "print(onednn.missing())"
MAPPED = """
def mapped():
    lines = open("/proc/self/maps").read()
    return [name for name in ("libdnnl", "libgomp", "jaxcnn_onednn") if name in lines]
"""


@pytest.fixture
def anew(monkeypatch):
    """Resets the library's state, as if nothing were loaded."""
    monkeypatch.setattr(library, "_found", None)
    monkeypatch.delenv(library.SWITCH, raising=False)


@here
def test_the_library_is_loaded_at_its_first_use():
    rooms = "convolve, nn, ops, testing, train"
    code = f"{MAPPED}\nfrom jaxcnn import {rooms}\nprint(mapped())\n{MISSING}\nprint(mapped())"
    out, _ = in_a_child(code)
    assert out == "[]\nNone\n['libdnnl', 'libgomp', 'jaxcnn_onednn']"


def test_closing_onednn_loads_nothing():
    code = f"{MAPPED}\nprint(onednn.unavailable_reason())\nprint('libdnnl' in mapped())"
    if not Path("/proc/self/maps").exists():
        pytest.skip("no /proc")
    assert in_a_child(code, JAXCNN_ONEDNN="no")[0] == "closed by JAXCNN_ONEDNN=no\nFalse"


@here
def test_a_loaded_library_states_version_path_and_threads():
    assert onednn.version().startswith("3.")
    assert onednn.path().name.startswith(library.LIBRARY)
    assert onednn.instruction_set().startswith("avx")
    assert onednn.threads() >= 1
    assert onednn.shim() is onednn.shim()


@pytest.mark.usefixtures("anew")
def test_many_threads_load_the_library_once(monkeypatch):
    loaded = []

    def load():
        time.sleep(0.05)
        loaded.append(1)
        return f"loaded {len(loaded)} times"

    monkeypatch.setattr(library, "_load", load)
    with ThreadPoolExecutor(8) as pool:
        said = set(pool.map(lambda _: onednn.missing(), range(16)))
    assert said == {"loaded 1 times"}


def test_the_advised_package_is_the_required_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (required,) = (
        r for r in map(Requirement, project["dependencies"]) if r.name.startswith("onednn")
    )
    assert f"{required.name}{required.specifier}" == f"{library.DISTRIBUTION}=={library.RELEASE}"
    for system, machine, served in (
        ("linux", "x86_64", True),
        ("linux", "aarch64", False),
        ("darwin", "x86_64", False),
    ):
        of = {"sys_platform": system, "platform_machine": machine}
        assert required.marker.evaluate(of) == served


# All parts that can be missing; they are really missing if that is cheap to arrange.


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "aarch64")]
)
@pytest.mark.usefixtures("anew")
def test_the_library_is_unavailable_on_other_machines(monkeypatch, system, machine):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert onednn.unavailable_reason() == (
        f"oneDNN is for Linux x86_64, and this is {system} {machine}"
    )


@linux
def test_a_missing_package_is_named():
    # Without site-packages only the standard library is installed.
    assert in_a_child(MISSING, "-S")[0] == (
        f"oneDNN is not installed: pip install {library.DISTRIBUTION}=={library.RELEASE}"
    )


@linux
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.usefixtures("anew")
def test_the_library_file_is_found_with_and_without_a_record(
    monkeypatch, tmp_path, recorded, there
):
    site, place = tmp_path / "site", tmp_path / ("elsewhere" if recorded else "lib")
    folder = site / "onednn_cpu_gomp-2023.2.0.dist-info"
    for new in (folder, place):
        new.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: onednn-cpu-gomp\n")
    if recorded:
        (folder / "RECORD").write_text(f"../{place.name}/{library.LIBRARY},,\n")
    if there:
        (place / library.LIBRARY).touch()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(library.sysconfig, "get_path", lambda _: str(tmp_path))
    if there:
        assert library._place() == place / library.LIBRARY
        assert "does not load" in onednn.missing()  # an empty file
    else:
        assert onednn.missing() == (
            "onednn-cpu-gomp has lost its libdnnl.so.3: "
            "pip install --force-reinstall --no-deps onednn-cpu-gomp==2023.2.0"
        )


@here
def test_a_missing_libgomp_is_named(tmp_path):
    (tmp_path / library.THREADS).write_text("no library")
    said, _ = in_a_child(MISSING, LD_LIBRARY_PATH=str(tmp_path))
    assert said.startswith("oneDNN needs libgomp.so.1 (")
    assert said.endswith("): apt install libgomp1, or dnf install libgomp")


@here
@pytest.mark.parametrize(("limit", "set_"), [("AVX2", "avx2"), ("AVX", None), ("SSE41", None)])
def test_the_instruction_set_is_what_the_environment_allows(limit, set_):
    code = "why = onednn.missing(); print(why or onednn.instruction_set())"
    said, _ = in_a_child(code, ONEDNN_MAX_CPU_ISA=limit)
    assert said == set_ or (
        set_ is None
        and said
        == f"oneDNN is limited to {limit.lower()} by ONEDNN_MAX_CPU_ISA={limit}, and without "
        "AVX2 it is slow: unset ONEDNN_MAX_CPU_ISA"
    )


@here
@pytest.mark.parametrize("note", ["no C compiler works here, and ziglang is not installed", None])
@pytest.mark.usefixtures("anew")
def test_a_shim_that_was_not_built_says_why_and_what_to_type(monkeypatch, tmp_path, note):
    monkeypatch.setattr(library, "SHIM", tmp_path / "shim.so")
    monkeypatch.setattr(library, "NOTE", tmp_path / "note.txt")
    if note:
        library.NOTE.write_text(f"{note}\n")
    said = onednn.unavailable_reason()
    assert said == (
        f"the shim to oneDNN was not built{f' ({note})' if note else ''}: "
        f"pip install --no-deps -e {ROOT}"
    )
    with pytest.raises(InputError, match="was not built"):
        onednn.shim()
    with pytest.raises(InputError, match="was not built"):
        onednn.version()


@here
@pytest.mark.usefixtures("anew")
def test_a_shim_that_does_not_load_says_what_to_type(monkeypatch, tmp_path):
    (tmp_path / "shim.so").write_text("no library")
    monkeypatch.setattr(library, "SHIM", tmp_path / "shim.so")
    assert "the shim to oneDNN does not load (" in onednn.missing()
    assert onednn.missing().endswith(f"): pip install --no-deps -e {ROOT}")


def test_outside_its_source_tree_the_advice_is_to_install_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "__file__", str(tmp_path / "jaxcnn" / "onednn" / "library.py"))
    assert library.build_again() == (
        "pip install --force-reinstall --no-deps --no-cache-dir jaxcnn"
    )


# The switch.


def _cases(word):
    return st.tuples(*(st.sampled_from((c, c.upper())) for c in word)).map("".join)


@many
@given(
    st.sampled_from(("1", "true", "on", "yes", "0", "false", "off", "no")).flatmap(_cases)
    | st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5)
)
def test_the_environment_switch_is_yes_or_no_or_an_error(said):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(library.SWITCH, said)
        meant = said.strip().lower()
        if meant in ("", "1", "true", "on", "yes"):
            assert onednn.unavailable_reason() == onednn.missing()
        elif meant in ("0", "false", "off", "no"):
            assert onednn.unavailable_reason() == f"closed by JAXCNN_ONEDNN={said}"
            with pytest.raises(InputError, match="closed by JAXCNN_ONEDNN"):
                onednn.shim()
        else:
            with pytest.raises(InputError, match="neither yes nor no; set it to 1 or 0"):
                onednn.unavailable_reason()


def test_onednn_closed_lasts_as_long_as_its_context(monkeypatch):
    monkeypatch.delenv(library.SWITCH, raising=False)
    with onednn.onednn_closed():
        with onednn.onednn_closed():
            pass
        assert onednn.unavailable_reason() == "closed by onednn_closed()"
        with pytest.raises(InputError, match="closed by"):
            onednn.shim()
    assert onednn.unavailable_reason() == onednn.missing()


# Its threads.


@here
@pytest.mark.parametrize(
    ("own", "spins"),
    [
        ({}, library.SPIN_COUNT),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "0"),
    ],
    ids=str,
)
def test_the_spin_count_is_ours_unless_the_user_sets_one(own, spins):
    code = f"import os\nbefore = dict(os.environ)\n{MISSING}\nprint(before == dict(os.environ))"
    out, err = in_a_child(code, OMP_DISPLAY_ENV="VERBOSE", **own)
    assert out == "None\nTrue"
    assert f"GOMP_SPINCOUNT = '{spins}'" in err


@here
def test_the_user_sets_the_number_of_threads():
    assert in_a_child("print(onednn.threads())", OMP_NUM_THREADS="3")[0] == "3"


FORK = """
import os, sys
def in_child(do):
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        do()
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
tell = lambda: print(onednn.unavailable_reason())
"""


@here
def test_a_process_forked_after_loading_onednn_has_a_reason_with_advice():
    out, _ = in_a_child(f"{FORK}\nin_child(tell); in_child(lambda: in_child(tell)); tell()")
    assert out == "None\nNone\nNone"
    out, _ = in_a_child(f"{FORK}\ntell(); in_child(tell); in_child(lambda: in_child(tell)); tell()")
    told = library.FORKED.decode()
    assert out.splitlines() == ["None", told, told, "None"]
    assert 'multiprocessing.get_context("spawn")' in told
