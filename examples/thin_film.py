"""The thicknesses of a coating from its reflectance spectrum: 3 inputs, 200 outputs.

Titania, silica and titania lie on glass. Light falls on them at a right angle, and of 200
wavelengths from 400 to 1000 nm the reflected share is known; which thicknesses, from 20 to 300 nm
each, reflect like this? Hardly ever more than one set of them. But least squares has many local
minima: of random starts about 6 % lead to the answer, which its residual and its status tell apart
from the others. The anchors whose spectra and slopes fit best are better starts: the first leads
there for about 90 % of the spectra, one of the first five almost always, in about 10 ms.

A measured spectrum has noise, and nothing reflects exactly like it, so that no thicknesses are a
solution of the equations. `error_tol` says how far each reflectance may be from the measured one:
five standard deviations of the noise. With `y_scale` that noise is the unit of all residuals, and
the residual of the true thicknesses is about the root of 200.

Run with ``python examples/thin_film.py``, or with ``--plot thin_film.png`` for a picture too. The
reflectance is that of the characteristic matrices of M. Born and E. Wolf, *Principles of Optics*,
section 1.6; none of the materials absorbs.
"""

import argparse
import time
from math import cos, pi, sin

import numpy as np

import fastinv as fi

NOISE = 1e-3  # standard deviation of a measured reflectance, of 0 to 1
WITHIN_NOISE = {"error_tol": 5 * NOISE}
BOUNDS = [(20.0, 300.0)] * 3  # nm
WAVELENGTHS = np.linspace(400.0, 1000.0, 200)  # nm


def sellmeier(wavelength, strengths, resonances):
    """Refractive index at `wavelength` (nm), resonances in µm."""
    squared = (wavelength[:, None] / 1000.0) ** 2
    return np.sqrt(1.0 + (strengths * squared / (squared - np.square(resonances))).sum(axis=1))


def refractive_indices(wavelength):
    """Of the layers (n, 3), from the air inwards, and of the glass (n,)."""
    # I. H. Malitson (1965), fused silica; J. R. DeVore (1951), rutile; Schott, N-BK7.
    silica = sellmeier(
        wavelength, [0.6961663, 0.4079426, 0.8974794], [0.0684043, 0.1162414, 9.896161]
    )
    titania = np.sqrt(5.913 + 0.2441 / ((wavelength / 1000.0) ** 2 - 0.0803))
    glass = sellmeier(
        wavelength,
        [1.03961212, 0.231792344, 1.01046945],
        np.sqrt([0.00600069867, 0.0200179144, 103.560653]),
    )
    return np.stack([titania, silica, titania], axis=1), glass


LAYERS, GLASS = refractive_indices(WAVELENGTHS)
WAVENUMBERS = 2.0 * pi * LAYERS / WAVELENGTHS[:, None]


@fi.forward(n_inputs=3, n_outputs=200)
def reflectance(x, y):
    """Of light from air, at each wavelength, for the thicknesses x (nm)."""
    for w in range(y.size):
        # The product of the layers' matrices [[a, i b], [i c, d]]; all four are real.
        a, b, c, d = 1.0, 0.0, 0.0, 1.0
        for layer in range(x.size):
            phase = WAVENUMBERS[w, layer] * x[layer]
            co, si = cos(phase), sin(phase)
            up, down = si * LAYERS[w, layer], si / LAYERS[w, layer]
            a, b, c, d = a * co - b * up, a * down + b * co, c * co + d * up, d * co - c * down
        real, imaginary = a - d * GLASS[w], b * GLASS[w] - c
        real_sum, imaginary_sum = a + d * GLASS[w], b * GLASS[w] + c
        y[w] = (real**2 + imaginary**2) / (real_sum**2 + imaginary_sum**2)


def make_solver(**parameters):
    return fi.NearestSolver(
        reflectance, bounds=BOUNDS, n_anchors=4000, y_scale=NOISE, random_state=0, **parameters
    ).fit()


def sample(n, random_state):
    """Thicknesses (n, 3), their spectra (n, 200), and these with noise."""
    rng = np.random.default_rng(random_state)
    low, high = np.transpose(BOUNDS)
    truth = rng.uniform(low, high, (n, 3))
    spectra = reflectance(truth)
    return truth, spectra, spectra + NOISE * rng.standard_normal(spectra.shape)


def share_found(solver, truth, spectra, effort, **tolerance):
    """Of the spectra: those whose true thicknesses are found to 2 nm, and solutions of each."""
    found = solver.solve_all(spectra, effort=effort, **tolerance)
    is_true = (np.abs(found.x - truth[:, None]) < 2.0).all(axis=2)
    return is_true.any(axis=1).mean(), found.count.mean()


def plot(path, solver, spectrum):
    import matplotlib.pyplot as plt

    thicknesses = solver.solve_all(spectrum, **WITHIN_NOISE).best[0]
    figure, axes = plt.subplots(figsize=(6.0, 3.5), layout="constrained")
    axes.plot(WAVELENGTHS, spectrum, ".", ms=3, label="measured")
    axes.plot(WAVELENGTHS, reflectance(thicknesses), label="of the thicknesses found")
    axes.set(xlabel="wavelength, nm", ylabel="reflectance")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stacks", type=int, default=40, help="random coatings to try")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()

    solver = make_solver()
    truth, spectra, noisy = sample(options.stacks, random_state=1)

    # solve() polishes what it starts from, and says of each end whether it is a solution.
    print(f"thicknesses {truth[0].round(2)} nm; where some starts lead:")
    ends = solver.solve(spectra[0], k=20)
    distinct = np.unique(ends.x[0].round(1), axis=0, return_index=True)[1]
    for k in sorted(distinct)[:5]:  # best first
        status = fi.Status(ends.status[0, k]).name
        print(f"  {ends.x[0, k].round(2)}: residual {ends.residual[0, k]:.1e}, {status}")

    exact = solver.solve_all(noisy, effort=0.2)
    print(f"with noise of {NOISE:.1%}, of {options.stacks} spectra")
    print(f"  {np.count_nonzero(exact.count)} have a solution to rounding")
    within = solver.solve_all(noisy, effort=0.2, **WITHIN_NOISE)
    error = np.abs(within.best - truth)[within.count > 0]
    print(f"  {np.count_nonzero(within.count)} have one within {5 * NOISE:.1%} at all wavelengths")
    print(f"  with residuals up to {within.residual[:, 0].max():.1f} times the noise")
    print(f"  their thicknesses are off by {np.median(error):.2f} nm (median)")

    print("starts  thicknesses found  with noise  ms per spectrum")
    for effort in (0.04, 0.2, 0.5):
        began = time.perf_counter()
        clean, _ = share_found(solver, truth, spectra, effort)
        milliseconds = 1000.0 * (time.perf_counter() - began) / options.stacks
        with_noise, _ = share_found(solver, truth, noisy, effort, **WITHIN_NOISE)
        starts = np.ceil(24 * effort)
        print(f"{starts:6.0f} {clean:18.0%} {with_noise:11.0%} {milliseconds:16.1f}")
    if options.plot:
        plot(options.plot, solver, noisy[0])


if __name__ == "__main__":
    main()
