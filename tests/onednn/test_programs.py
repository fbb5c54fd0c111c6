"""oneDNN's calls in programs: in every mode of JAX, on several devices, in other processes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as Spec

from jaxcnn.convolve import conv_general_dilated
from jaxcnn.convolve.algorithms.kernels.onednn import DIRECTIONS
from jaxcnn.onednn import library
from jaxcnn.onednn.primitives import TARGET
from tests.cases import run_on_eight_devices
from tests.convolve.drawn import as_call, define
from tests.onednn.test_library import in_a_child
from tests.onednn.test_primitives import GIVEN, each, here, whole

pytestmark = here


def _named(name):
    """The convolution by this algorithm, its operands and its result, all integers."""
    problem = GIVEN[name]
    x, w = whole(problem.x_shape), whole(problem.kernel_shape, 1)
    return as_call(problem, conv_general_dilated, algorithm=name), x, w, define(problem, x, w)


@each
def test_onednn_gives_the_same_numbers_in_every_mode_of_jax(name):
    convolve, x, w, want = _named(name)
    np.testing.assert_array_equal(convolve(x, w), want)
    with jax.disable_jit():
        np.testing.assert_array_equal(convolve(x, w), want)

    def in_turn(x, w):
        return lax.scan(
            lambda total, _: (total + convolve(x, w), None), jnp.zeros(want.shape), jnp.arange(3)
        )[0]

    assert TARGET in jax.jit(in_turn).lower(x, w).as_text()
    np.testing.assert_array_equal(jax.jit(in_turn)(x, w), 3 * want)
    members = jax.jit(jax.vmap(convolve, (0, None)))(jnp.stack([x, 2 * x]), w)
    np.testing.assert_array_equal(members, [want, 2 * want])
    members = jax.jit(jax.vmap(convolve))(jnp.stack([x, -x]), jnp.stack([w, 2 * w]))
    np.testing.assert_array_equal(members, [want, -2 * want])
    kept = jax.jit(jax.checkpoint(convolve)).lower(x, w).compile()
    np.testing.assert_array_equal(kept(x, w), want)


def test_onednn_on_eight_devices_has_the_numbers_of_one():
    run_on_eight_devices(__name__)


def on_eight_devices():
    """A child process runs this: each algorithm on every device, on its part of the batch."""
    mesh = jax.make_mesh((8,), ("i",), axis_types=(AxisType.Auto,))
    for name in DIRECTIONS:
        convolve, x, w, want = _named(name)
        xs = jnp.concatenate([i * x for i in range(8)])
        shares = {"mesh": mesh, "in_specs": (Spec("i"), Spec()), "out_specs": Spec("i")}
        mapped = jax.jit(jax.shard_map(convolve, **shares))
        assert TARGET in mapped.lower(xs, w).as_text()
        np.testing.assert_array_equal(mapped(xs, w), np.concatenate([i * want for i in range(8)]))
    print(f"{jax.device_count()} devices")


# -- other processes -------------------------------------------------------------------------------

CONVOLVE = """
import warnings
import jax
import jax.numpy as jnp
import numpy as np
from jaxcnn.convolve import conv_general_dilated
from jaxcnn.onednn.primitives import TARGET

warnings.simplefilter("ignore")

def convolve(x, w):
    return conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), algorithm="onednn"
    )

def operands():
    return jnp.ones((2, 9, 9, 16)), jnp.ones((3, 3, 16, 32))

def right(y):
    sees = np.convolve(np.ones(9), np.ones(3), "same")
    return bool((np.asarray(y) == 16 * np.outer(sees, sees)[None, :, :, None]).all())

def asked(function):
    return TARGET in jax.jit(function).lower(*operands()).as_text()
"""


@pytest.mark.parametrize(("said", "asked"), [("0", False), ("1", True)])
def test_the_environment_switch_closes_onednn(said, asked):
    code = f"{CONVOLVE}\nprint(asked(convolve), right(jax.jit(convolve)(*operands())))"
    assert in_a_child(code, JAXCNN_ONEDNN=said)[0] == f"{asked} True"


CACHED = """
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append("cache_hits" in event))
lowered = jax.jit(convolve).lower(*operands())
hits.clear()
compiled = lowered.compile()
print(sum(hits), TARGET in compiled.as_text(), right(compiled(*operands())))
"""


def test_a_program_that_another_process_compiled_runs_from_the_cache(tmp_path):
    """This holds even if oneDNN used another instruction set in that process."""
    variables = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    for found, more in ((0, {}), (1, {}), (1, {"ONEDNN_MAX_CPU_ISA": "AVX2"})):
        out, _ = in_a_child(CONVOLVE + CACHED, **variables, **more)
        assert out == f"{found} True True"


FORKED = """
import multiprocessing

def ask_child(does):
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    child = context.Process(target=lambda: said.put(does()), daemon=True)
    child.start()
    return said.get(timeout=60)
"""

USED_BEFORE = f"""{CONVOLVE}{FORKED}
compiled, operands_here = jax.jit(convolve), operands()
print(right(compiled(*operands_here)))

def does():
    # Only JAX's tracing works here, because XLA's threads do not survive a fork.
    try:
        compiled(*operands_here)
    except Exception as error:
        return str(error), asked(lambda x, w: convolve(x, w))

for said in ask_child(does):
    print(said)
"""

LOADED_BEFORE = f"""{CONVOLVE}{FORKED}
onednn.shim()
print(ask_child(lambda: (asked(convolve), right(jax.jit(convolve)(*operands())))))
"""


def test_a_program_compiled_before_a_fork_says_after_it_what_to_do():
    before, error, asked = in_a_child(USED_BEFORE)[0].splitlines()
    assert before == "True"
    assert error.endswith(library.FORKED.decode())
    assert asked == "False"


def test_a_process_forked_before_jax_starts_works_without_onednn():
    assert in_a_child(LOADED_BEFORE)[0] == "(False, True)"
