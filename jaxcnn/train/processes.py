"""Several processes that train one run: what they must agree on."""

from __future__ import annotations

import jax
import numpy as np


def any_process(*flags: bool) -> tuple[bool, ...]:
    """Each flag, true if it is so in any process; all processes must call it at the same step."""
    if jax.process_count() == 1:
        return flags
    from jax.experimental import multihost_utils

    found = multihost_utils.process_allgather(np.array(flags))
    return tuple(bool(flag) for flag in np.asarray(found).any(axis=0))
