"""Convolutions and pools that are each wrong in one way."""

from __future__ import annotations

from functools import partial

import jax
import jax.core
import jax.numpy as jnp

import jaxcnn


def drops_the_last_output(x, kernel, bias=None, **kwargs):
    y = jaxcnn.conv(x, kernel, bias, **kwargs)
    return y[..., :-1, :]


def returns_float32(x, kernel, bias=None, **kwargs):
    return jaxcnn.conv(x, kernel, bias, **kwargs).astype(jnp.float32)


def shape_depends_on_tracing(x, kernel, bias=None, **kwargs):
    y = jaxcnn.conv(x, kernel, bias, **kwargs)
    return y if isinstance(x, jax.core.Tracer) else y[..., :-1, :]


def flips_the_kernel(x, kernel, bias=None, **kwargs):
    return jaxcnn.conv(x, kernel[::-1], bias, **kwargs)


def forgets_the_bias(x, kernel, bias=None, **kwargs):
    return jaxcnn.conv(x, kernel, None if bias is None else 0 * bias, **kwargs)


def multiplies_in_bfloat16(x, kernel, bias=None, **kwargs):
    low = (a.astype(jnp.bfloat16).astype(x.dtype) for a in (x, kernel))
    return jaxcnn.conv(*low, bias, **kwargs)


def floors_without_notice(x, kernel, bias=None, **kwargs):
    return jaxcnn.conv(x, kernel, bias, **(kwargs | {"rounding": "floor"}))


def differs_when_compiled(x, kernel, bias=None, **kwargs):
    y = jaxcnn.conv(x, kernel, bias, **kwargs)
    return y * 1.001 if isinstance(x, jax.core.Tracer) else y


def maps_over_the_kernel_wrongly(x, kernel, _bias=None, **kwargs):
    @jax.custom_batching.custom_vmap
    def convolve(x, kernel):
        return jaxcnn.conv(x, kernel, **kwargs)

    @convolve.def_vmap
    def _(axis_size, in_batched, x, kernel):
        if in_batched[1]:
            kernel = jnp.stack([kernel[0]] * axis_size)
        axes = [0 if batched else None for batched in in_batched]
        return jax.vmap(partial(jaxcnn.conv, **kwargs), axes)(x, kernel), True

    return convolve(x, kernel)


def scales_the_gradient(x, kernel, bias=None, *, of, **kwargs):
    """The gradient of one argument is a thousandth too large, forward and reverse."""

    @partial(jax.custom_jvp)
    def convolve(x, kernel, bias):
        return jaxcnn.conv(x, kernel, bias, **kwargs)

    @convolve.defjvp
    def _(primals, tangents):
        tangents = tuple(t * 1.001 if i == of else t for i, t in enumerate(tangents))
        return jax.jvp(partial(jaxcnn.conv, **kwargs), primals, tangents)

    return convolve(x, kernel, bias)


def pulls_back_more_than_it_pushes(x, kernel, bias=None, **kwargs):
    @partial(jax.custom_jvp)
    def identity(y):
        return y

    @identity.defjvp
    def _(primals, tangents):
        ((y,), (dy,)) = primals, tangents
        pushed = jax.custom_derivatives.linear_call(lambda _, dy: dy, lambda _, u: 1.01 * u, (), dy)
        return y, pushed

    return identity(jaxcnn.conv(x, kernel, bias, **kwargs))


def takes_the_last_of_equal_maxima(x, kernel_size, **kwargs):
    axes = tuple(range(x.ndim - 1 - len(kernel_size), x.ndim - 1))
    paddings = jaxcnn.shapes.pool_shapes(x.shape, kernel_size, **kwargs).paddings
    turned = kwargs | {"padding": tuple(pair[::-1] for pair in paddings)}
    return jnp.flip(jaxcnn.max_pool(jnp.flip(x, axes), kernel_size, **turned), axes)


def is_a_little_more_than_the_maximum(x, kernel_size, **kwargs):
    return jaxcnn.max_pool(x, kernel_size, **kwargs) * (1 + 2**-22)


def counts_the_padding(x, kernel_size, **kwargs):
    return jaxcnn.avg_pool(x, kernel_size, **kwargs, count_include_pad=True)
