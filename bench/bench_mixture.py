"""Mixture negative log-likelihood with its gradient, beside a hand-written loss in PyTorch."""

from works import sides_of, time_side


@sides_of("mixture-")
def bench_mixture_nll(benchmark, work, side):
    time_side(benchmark, work, side)
