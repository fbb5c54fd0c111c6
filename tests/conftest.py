"""How many cases are drawn, which tests wait until they are asked for, and how XLA compiles.

    python -m pytest                                a few for each law, minutes for all of them
    python -m pytest -m slow                        the tests marked slow
    python -m pytest --hypothesis-profile=full      many times as many, and the slow ones too,
                                                    compiled as for a user; before a release

The tests run as a person runs JAX, in 32 bits; those that need 64 switch them on for themselves,
as jaxcnn.testing does for problems in float64. But no dtype and no rank is promoted unasked: what
runs so runs for everybody, and a careful person's settings break nothing.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Each case compiles anew, which has a cost that says nothing about the case.
_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("default", max_examples=4, **_COMMON)
settings.register_profile("full", max_examples=300, **_COMMON)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    """Unless the profile is full, leaves out what is slow, and lets XLA compile in a hurry."""
    config.addinivalue_line("markers", "slow: proves what quicker tests prove too, only better")
    # Read when JAX is imported, here and in every child process.
    os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
    os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
    if _is_full(config):
        return
    if not config.option.markexpr:
        config.option.markexpr = "not slow"
    # Programs of a few cells cost their compilation, of which LLVM's optimisations are a third.
    # Child processes, and modules that use ``as_for_users``, compile as people do.
    _compile_in_a_hurry(True)


def _is_full(config: pytest.Config) -> bool:
    return config.getoption("--hypothesis-profile") == "full"


def _compile_in_a_hurry(hurry: bool) -> None:
    import jax  # only now, when the environment is set

    jax.config.update("jax_disable_most_optimizations", hurry)


@pytest.fixture(scope="module")
def as_for_users(request: pytest.FixtureRequest) -> Iterator[None]:
    """Programs are optimised: for laws that an optimisation could break."""
    import jax

    _compile_in_a_hurry(False)
    jax.clear_caches()
    yield
    _compile_in_a_hurry(not _is_full(request.config))
