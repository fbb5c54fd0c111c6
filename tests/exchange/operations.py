"""Every operation of jaxcnn as a function of images."""

from functools import partial

import jax.numpy as jnp

from jaxcnn import ops
from tests.exchange.programs import whole_numbers
from tests.ops.calls import BATCHED, CALLS, INTEGERS, NEVER_BATCHED, call_of

NAMES = sorted(set(CALLS) - NEVER_BATCHED)


def of_images(name):
    """The call of ``CALLS`` as a function of its first array, and that array's shape and dtype."""
    shapes = CALLS[name][0]
    dtype, *dtypes = INTEGERS[name][0] if name in INTEGERS else ["float32"] * len(shapes)
    rest = [
        jnp.asarray(whole_numbers(shape, own, seed=i))
        for i, (shape, own) in enumerate(zip(shapes[1:], dtypes, strict=True))
    ]
    call = call_of(ops, name)
    if name == "max_unpool":
        window = CALLS["max_pool_with_indices"][1]
        return lambda x: call(*ops.max_pool_with_indices(x, **window)), (8, 8, 4), dtype
    if name in BATCHED:
        return lambda x: call(x, *_of_batch(x, name, rest)), shapes[0][1:], dtype
    return lambda x: call(x, *rest), shapes[0][1:], dtype


def _of_batch(x, name, arrays):
    """The other arrays; those with a batch axis depend on x."""
    found = list(arrays)
    for place in BATCHED[name]:
        if place:
            shape = CALLS[name][0][place]
            first = x.reshape(x.shape[0], -1)[:, :1] / 2
            found[place - 1] = first.reshape(x.shape[0], *(1,) * (len(shape) - 1)) + whole_numbers(
                (1, *shape[1:]), seed=place
            )
    return found


SIZES = {1: (12,), 2: (6, 8), 3: (4, 6, 4)}
BY_RANK = {
    "adaptive_avg_pool": partial(ops.adaptive_avg_pool, output_size=2),
    "adaptive_max_pool": partial(ops.adaptive_max_pool, output_size=2),
    "avg_pool": partial(ops.avg_pool, kernel_size=2),
    "blur_pool": partial(ops.blur_pool, rounding="floor"),
    "conv": lambda x: ops.conv(x, kernel(x, 2, 4), stride=2, padding="SAME"),
    "conv_transpose": lambda x: ops.conv_transpose(x, kernel(x, 6, 2), stride=2, padding="SAME"),
    "depthwise_conv": lambda x: ops.depthwise_conv(x, kernel(x, 2, 2), padding=1),
    "fold": lambda x: ops.fold(ops.unfold(x, 2), 2, output_size=x.shape[1:-1]),
    "global_avg_pool": ops.global_avg_pool,
    "global_lp_pool": ops.global_lp_pool,
    "global_max_pool": ops.global_max_pool,
    "local_conv": lambda x: ops.local_conv(x, local_kernel(x)),
    "lp_pool": partial(ops.lp_pool, kernel_size=2),
    "max_pool": partial(ops.max_pool, kernel_size=2),
    "max_pool_with_indices": partial(ops.max_pool_with_indices, kernel_size=2),
    "max_unpool": lambda x: ops.max_unpool(
        *ops.max_pool_with_indices(x, kernel_size=2), output_size=x.shape[1:-1]
    ),
    "min_pool": partial(ops.min_pool, kernel_size=3, stride=1, padding=1),
    "pad": partial(ops.pad, padding=1, padding_mode="reflect"),
    "pixel_shuffle": lambda x: ops.pixel_shuffle(jnp.concatenate([x] * 4, -1), 2),
    "pixel_unshuffle": partial(ops.pixel_unshuffle, factor=2),
    "separable_conv": lambda x: ops.separable_conv(
        x, kernel(x, 2, 2), jnp.ones((*(1,) * (x.ndim - 2), 4, 3))
    ),
    "unfold": partial(ops.unfold, kernel_size=2),
    "upsample": lambda x: ops.upsample(
        x, output_size=[2 * size for size in x.shape[1:-1]], method="linear"
    ),
}


def kernel(x, in_channels, out_channels):
    return jnp.asarray(whole_numbers((*(3,) * (x.ndim - 2), in_channels, out_channels)))


def local_kernel(x):
    """A kernel for each window of two cells."""
    sizes = [size - 1 for size in x.shape[1:-1]]
    return jnp.asarray(whole_numbers((*sizes, *(2,) * len(sizes), x.shape[-1], 3)))
