"""Polishing where f is a network: its derivative, and what single precision allows."""

import numpy as np
import pytest
from chains import CPP, REFERENCE, Setup, assert_same_bits

from fastinv import _core
from fastinv.backends.reference.function import network_derivative, network_values
from fastinv.functions import ACTIVATIONS, NetworkCode, NetworkSpec


def setup_of(network, **changes):
    p, q = network.n_inputs, network.n_outputs
    given = {"tol": 1e-9, "max_evaluations": 400} | changes
    return Setup(np.zeros((1, p)), np.zeros((1, q)), network, **given)


def random_network(seed, hidden, activation, p, q):
    rng = np.random.default_rng([56, seed])
    spec = NetworkSpec((p, *hidden, q), activation)
    parameters = np.zeros(spec.n_parameters, dtype=np.float32)
    for weights, biases in spec.layers(parameters):
        weights[:] = rng.normal(size=weights.shape) / np.sqrt(len(weights))
        biases[:] = 0.3 * rng.normal(size=biases.shape)
    return NetworkCode(
        spec, parameters, rng.normal(size=p), rng.uniform(0.5, 2, p), rng.normal(size=q),
        rng.uniform(0.5, 2, q),
    )  # fmt: skip


HIDDEN = [(1,), (7,), (33,), (7, 33), (33, 7), (1, 7, 33), (33, 33, 33)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_the_reference_derivative_of_a_network_against_differences(activation, hidden):
    for seed, (p, q) in enumerate([(1, 1), (2, 3), (3, 2), (7, 33)]):
        network = random_network(seed, hidden, activation, p, q)
        x = np.random.default_rng([57, seed]).normal(size=p)
        h = 1e-6 * np.eye(p)
        differences = (network_values(network, x + h) - network_values(network, x - h)) / 2e-6
        np.testing.assert_allclose(network_derivative(network, x), differences.T, atol=1e-7)


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_steps_by_the_derivative_of_a_network(isa, activation, hidden):
    """One step, which a wrong derivative would turn elsewhere."""
    moved = 0.0
    for seed, (p, q) in enumerate([(2, 2), (3, 1), (1, 3), (7, 7)]):
        network = random_network(seed, hidden, activation, p, q)
        setup = setup_of(network, max_evaluations=2)
        rng = np.random.default_rng([58, seed])
        starts = rng.normal(size=(7, p))
        targets = network_values(network, starts) + 0.02 * rng.normal(size=(7, q))
        exact = setup.search(REFERENCE).polish(setup.goal(targets), starts)
        found = setup.search(CPP[isa]).polish(setup.goal(targets), starts)
        step = np.abs(exact.x - starts).max()
        np.testing.assert_allclose(found.x, exact.x, rtol=0, atol=0.03 * step + 1e-5)
        np.testing.assert_allclose(found.residual, exact.residual, atol=2e-4)
        moved = max(moved, step)
    assert moved > 1e-3


@pytest.mark.parametrize("isa", _core.isas())
def test_networks_are_solved_to_the_rounding_of_float32(isa):
    network = random_network(3, (33, 33), "tanh", 2, 2)
    setup = setup_of(network)
    rng = np.random.default_rng(59)
    inside = rng.normal(size=(33, 2))
    goal = setup.goal(network_values(network, inside))
    found = setup.search(CPP[isa]).polish(goal, inside + 0.02 * rng.normal(size=(33, 2)))
    assert (found.residual < 5e-7).mean() > 0.9
    np.testing.assert_allclose(found.fx, network_values(network, found.x), atol=2e-6)


@pytest.mark.parametrize("isa", _core.isas())
def test_a_network_gives_the_same_bits_for_any_number_of_threads(isa):
    network = random_network(4, (33, 7), "silu", 3, 2)
    rng = np.random.default_rng(61)
    starts, targets = rng.normal(size=(33, 3)), rng.normal(size=(33, 2))
    setup = setup_of(network, lower=-2.0, upper=2.0)
    search, goal = setup.search(CPP[isa]), setup.goal(targets)
    one, two = (search.polish(goal, starts, n_threads=n) for n in (1, 2))
    assert_same_bits(two, one)
