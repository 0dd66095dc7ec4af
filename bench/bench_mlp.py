"""Training steps and inference of the perceptron, beside other packages.

Run with ``pytest bench/bench_mlp.py``; a group compares like with like on the same threads. A
training run is 50 steps.
"""

from works import sides_of, time_side


@sides_of("train-")
def bench_training_steps(benchmark, work, side):
    time_side(benchmark, work, side)


@sides_of("infer-")
def bench_inference(benchmark, work, side):
    time_side(benchmark, work, side)
