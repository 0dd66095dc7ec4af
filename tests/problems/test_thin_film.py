"""The thin film example: its reflectance is right, and solvers find thicknesses from spectra."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi

EXAMPLE = Path(__file__).parents[2] / "examples" / "thin_film.py"
thickness = st.floats(20.0, 300.0)


@pytest.fixture(scope="module")
def film():
    spec = importlib.util.spec_from_file_location("thin_film", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def solver(film):
    return film.make_solver(n_threads=1)


def test_refractive_indices_are_those_of_handbooks(film):
    layers, glass = film.refractive_indices(np.array([587.6]))
    np.testing.assert_allclose(layers, [[2.6142, 1.4585, 2.6142]], atol=2e-3)
    np.testing.assert_allclose(glass, [1.5168], atol=1e-4)


def test_no_coating_is_fresnel_reflection(film):
    bare = ((1.0 - film.GLASS) / (1.0 + film.GLASS)) ** 2
    np.testing.assert_allclose(film.reflectance(np.zeros(3)), bare, rtol=1e-13)


@given(thickness, st.integers(0, 2))
def test_one_layer_is_airys_formula(film, thick, layer):
    n, glass = film.LAYERS[:, layer], film.GLASS
    x = np.zeros(3)
    x[layer] = thick
    above, below = (1.0 - n) / (1.0 + n), (n - glass) / (n + glass)
    turn = np.exp(2j * film.WAVENUMBERS[:, layer] * thick)
    expected = abs((above + below * turn) / (1.0 + above * below * turn)) ** 2
    np.testing.assert_allclose(film.reflectance(x), expected, atol=1e-13)


@settings(max_examples=10)
@given(thickness, thickness, thickness)
def test_reflectance_is_that_of_tmm(film, first, second, third):
    tmm = pytest.importorskip("tmm")
    expected = [
        tmm.coh_tmm(
            "s", [1.0, *layers, glass], [np.inf, first, second, third, np.inf], 0.0, wavelength
        )["R"]
        for layers, glass, wavelength in zip(film.LAYERS, film.GLASS, film.WAVELENGTHS, strict=True)
    ]
    reflected = film.reflectance([first, second, third])
    np.testing.assert_allclose(reflected, expected, atol=1e-12)


def test_two_sheets_of_one_material_are_one_sheet(film):
    # Without silica between them the two layers of titania are one.
    one, split = film.reflectance([[150.0, 0.0, 0.0], [90.0, 0.0, 60.0]])
    np.testing.assert_allclose(one, split, atol=1e-13)


def test_few_starts_find_the_thicknesses(film, solver):
    """The part of a spectrum that no step along the tangent plane explains counts in choosing."""
    truth, spectra, _ = film.sample(33, random_state=7)
    found = solver.solve_all(spectra, effort=0.2)
    hit = (np.abs(found.x - truth[:, None]) < 1e-6).all(axis=2).any(axis=1)
    assert hit.mean() >= 0.9
    images = film.reflectance(found.x[found.status == fi.Status.CONVERGED])
    targets = np.repeat(spectra, found.count, axis=0)
    assert np.abs(images - targets).max() < 1e-8


def test_local_minima_are_not_solutions(film, solver):
    truth, spectra, _ = film.sample(7, random_state=8)
    ends = solver.solve(spectra, k=20)
    is_true = (np.abs(ends.x - truth[:, None]) < 1e-3).all(axis=2)
    converged = ends.status == fi.Status.CONVERGED
    assert is_true.any(axis=1).all()
    assert converged[is_true].all()
    wrong = ~is_true & np.isfinite(ends.residual)
    assert wrong.any()
    assert not converged[wrong].any()
    assert (film.NOISE * ends.residual[is_true] < 1e-9).all()


def test_noise_needs_a_tolerance_of_its_size(film, solver):
    truth, _, noisy = film.sample(7, random_state=9)
    exact = solver.solve_all(noisy, effort=0.2)
    assert (exact.count == 0).all()
    assert set(exact.status[:, 0]) <= {fi.Status.UNREACHABLE, fi.Status.APPROXIMATE}
    assert (solver.solve_all(noisy, residual_tol=1e3, effort=0.2).count == 0).all()  # no roots
    found = solver.solve_all(noisy, effort=0.5, **film.WITHIN_NOISE)
    assert (found.count >= 1).all()
    assert (np.abs(found.error)[found.status == fi.Status.CONVERGED] <= 5 * film.NOISE).all()
    assert np.abs(found.best - truth).max() < 2.0
    # What is left is the noise, but for the three numbers that were fitted to it.
    np.testing.assert_allclose(found.residual[:, 0], np.sqrt(200 - 3), rtol=0.25)


def test_a_spectrum_that_is_not_finite_is_invalid(film, solver):
    _, spectra, _ = film.sample(2, random_state=3)
    spectra[0, 100] = np.nan
    found = solver.solve_all(spectra, effort=0.2)
    assert found.count.tolist()[0] == 0
    assert found.status[0, 0] == fi.Status.INVALID
