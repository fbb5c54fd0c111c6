"""Settings of the tests: how many cases are drawn, which tests run, and how XLA compiles.

    python -m pytest                                a few cases for each law: some minutes
    python -m pytest -m slow                        the tests marked slow
    python -m pytest --hypothesis-profile=full      hundreds of cases for each law, the slow tests
                                                    too, and optimised programs: before a release

Tests run in JAX's default 32 bits and enable 64 if they need them, as jaxcnn.testing does for
problems in float64. They run under strict promotion of dtypes and ranks, which some users set; code
that works under it also works without it.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Each case compiles a program, so its time says nothing about the case.
_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("default", max_examples=4, **_COMMON)
settings.register_profile("full", max_examples=300, **_COMMON)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    """Sets the environment; unless the profile is full, skips slow tests and optimisations."""
    config.addinivalue_line(
        "markers", "slow: proves a law on more or larger cases than other tests"
    )
    # JAX reads these when it is imported, here and in every child process.
    os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
    os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
    if _is_full(config):
        return
    if not config.option.markexpr:
        config.option.markexpr = "not slow"
    # Optimisations take a third of the time to compile a small program. Child processes, and
    # modules that use the fixture ``optimised``, keep them.
    _disable_optimisations(True)


def _is_full(config: pytest.Config) -> bool:
    return config.getoption("--hypothesis-profile") == "full"


def _disable_optimisations(disable: bool) -> None:
    import jax  # after the environment is set

    jax.config.update("jax_disable_most_optimizations", disable)


@pytest.fixture(scope="module")
def optimised(request: pytest.FixtureRequest) -> Iterator[None]:
    """Enables XLA's optimisations, for laws that an optimisation could break."""
    import jax

    _disable_optimisations(False)
    jax.clear_caches()
    yield
    _disable_optimisations(not _is_full(request.config))
