"""Learned step size quantisation (LSQ: Esser et al. 2020, arXiv 1902.08153): values on levels, the step trained too.

Rounding has no gradient, so the value's is passed through where it lies within the levels. The step's is LSQ's
equation 3, which knows how far a value is from its level, scaled by 1 / sqrt(N * Qp) (section 2.2), N values sharing
the step and Qp levels above zero, so that a step moves about as fast as the weights do.
"""

import math

import torch
from torch import Tensor


class _Quantise(torch.autograd.Function):
    """clamp(round(x / scale) + zero, low, high), less zero, times scale: what QuantizeLinear and its inverse make."""

    @staticmethod
    def forward(ctx, x: Tensor, scale: Tensor, zero: int, low: int, high: int, factor: float) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.limits = low - zero, high - zero
        ctx.factor = factor
        return (x / scale).round_().clamp_(low - zero, high - zero).mul_(scale)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, scale = ctx.saved_tensors
        low, high = ctx.limits
        ratio = x / scale
        levels = ratio.round()
        inside = (levels >= low) & (levels <= high)
        of_x = of_scale = None
        if ctx.needs_input_grad[0]:
            of_x = gradient * inside
        if ctx.needs_input_grad[1]:
            slope = levels.clamp_(low, high).sub_(ratio.mul_(inside))
            of_scale = (gradient * slope).sum_to_size(scale.shape) * ctx.factor
        return of_x, of_scale, None, None, None, None


def quantise(x: Tensor, scale: Tensor, zero: int, low: int, high: int, sharing: float) -> Tensor:
    """`x` on the levels (low - zero) * scale to (high - zero) * scale, halves to even; `scale` fits the shape of `x`.

    `sharing` is LSQ's N: how many values of one input share a step.
    """
    return _Quantise.apply(x, scale, zero, low, high, 1 / math.sqrt(sharing * max(high - zero, 1)))


def first_step(weight: Tensor, top: int, axis: int | None = None) -> Tensor:
    """LSQ's first step, 2 mean|w| / sqrt(Qp), of the whole weight or of each place along `axis`.

    It is made for few levels: of many it would leave most beyond the largest weight, so that it is at most the step
    whose last level lies there.
    """
    others = [place for place in range(weight.ndim) if axis is None or place != axis % weight.ndim]
    magnitude = weight.abs()
    furthest = magnitude.amax(others) / top
    step = torch.minimum(2 * magnitude.mean(others) / math.sqrt(top), furthest)
    return torch.where(step > 0, step, 1.0)


def whole_reciprocal(scale: Tensor) -> Tensor:
    """As `quantization.levels.whole_reciprocal`; the gradient passes through."""
    value = scale.detach()
    whole = (1 / value).floor().clamp(min=1)
    found = 1 / whole
    exact = torch.where(1 / found < whole, torch.nextafter(found, torch.zeros_like(found)), found)
    return scale + (exact - value)
