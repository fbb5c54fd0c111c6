"""How many cases are drawn, and which tests wait until they are asked for.

    python -m pytest                                a few for each law, minutes for all of them
    python -m pytest -m slow                        the tests marked slow
    python -m pytest --hypothesis-profile=full      many times as many, and the slow ones too,
                                                    before a release

The tests run as a person runs JAX, in 32 bits; those that need 64 switch them on for themselves,
as jaxcnn.testing does for problems in float64.
"""

import pytest
from hypothesis import HealthCheck, settings

# Each case compiles anew, which has a cost that says nothing about the case.
_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("default", max_examples=6, **_COMMON)
settings.register_profile("full", max_examples=300, **_COMMON)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    """Leaves out the tests marked slow, where nothing says which to run."""
    config.addinivalue_line("markers", "slow: proves what quicker tests prove too, only better")
    if not config.option.markexpr and config.getoption("--hypothesis-profile") != "full":
        config.option.markexpr = "not slow"
