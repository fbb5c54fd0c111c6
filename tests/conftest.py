"""How many cases are drawn.

    python -m pytest                                a few for each law, minutes for all of them
    python -m pytest --hypothesis-profile=full      many times as many, before a release

The tests run as a person runs JAX, in 32 bits; those that need 64 switch them on for themselves,
as jaxcnn.testing does for problems in float64.
"""

from hypothesis import HealthCheck, settings

# Each case compiles anew, which has a cost that says nothing about the case.
_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("default", max_examples=6, **_COMMON)
settings.register_profile("full", max_examples=250, **_COMMON)
settings.load_profile("default")
