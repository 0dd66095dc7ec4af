"""The native pipeline against the reference, and what it promises: same bits, no locks, no
allocation per target."""

import json
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import malloc_counter
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinv as fi
from fastinv import _core
from fastinv.backends import get_backend
from fastinv.backends.protocol import (
    Candidates,
    LearnedForward,
    PipelineSpec,
    RefineSpec,
    TwinModel,
)
from fastinv.functions.networks import ACTIVATIONS, NetworkSpec

REFERENCE = get_backend("reference")
CPP = {isa: get_backend("cpp", isa=isa) for isa in _core.isas()}
FIELDS = ("x", "residual", "anchor", "status")


@fi.forward(n_inputs=2, n_outputs=3)
def surface(x, y):
    y[0] = x[0] * x[1]
    y[1] = x[0] ** 2 - x[1]
    y[2] = np.sin(x[0])


def make_spec(seed=0, p=2, q=3, n_anchors=60, with_twin=True, learned=False, activation="tanh"):
    rng = np.random.default_rng([40, seed])
    anchors_x = rng.uniform(-1, 1, size=(n_anchors, p))
    anchors_y = surface(anchors_x) if (p, q) == (2, 3) else rng.normal(size=(n_anchors, q))
    forward = surface.address
    if learned or (p, q) != (2, 3):
        net = NetworkSpec((p, 9, q), activation)
        forward = LearnedForward(
            net, rng.normal(size=net.n_parameters).astype(np.float32),
            rng.normal(size=p), np.full(p, 1.5), rng.normal(size=q), np.full(q, 0.7),
        )  # fmt: skip
    twin = None
    if with_twin:
        net = NetworkSpec((2 * q + p, 20, p), activation)
        twin = TwinModel(
            net, (0.3 * rng.normal(size=net.n_parameters)).astype(np.float32), np.full(q, 0.5),
            np.zeros(q), np.ones(q), np.zeros(p), np.ones(p), np.full(p, 0.3), 1.1,
        )  # fmt: skip
    return PipelineSpec(
        anchors_x=anchors_x, anchors_y=anchors_y, twin=twin, forward=forward,
        lower=np.full(p, -1.0), upper=np.full(p, 1.0), tol=0.2, coverage=0.5,
        x_spread=np.full(p, 0.6), anchors_exact=not learned and (p, q) == (2, 3),
        trust_residual=not learned,
    )  # fmt: skip


def targets_of(spec, n, seed=0):
    rng = np.random.default_rng([41, seed])
    y = spec.anchors_y[rng.integers(len(spec.anchors_y), size=n)]
    y = y + 0.2 * rng.normal(size=y.shape)
    y[rng.random(n) < 0.1] *= 30.0
    y[rng.random(n) < 0.1] = np.nan
    return y


def assert_alike(found, exact):
    """Equal but for the rounding of a float32 network; ranks may swap where keys almost tie."""
    same = (found.anchor == exact.anchor).all(axis=1)
    # Passes can lead several anchors to one solution.
    tied = (exact.residual[:, 1:] - 1e-4 < exact.residual[:, :-1]).any(axis=1)
    assert np.sum(~same & ~tied) <= 1 + 0.1 * len(same)
    np.testing.assert_allclose(found.x[same], exact.x[same], rtol=0, atol=2e-5)
    np.testing.assert_allclose(found.residual, exact.residual, rtol=1e-3, atol=1e-4)
    assert (found.status[same] == exact.status[same]).mean() > 0.97


@settings(max_examples=60, deadline=None)
@given(
    isa=st.sampled_from(_core.isas()),
    shape=st.sampled_from([(2, 3), (1, 1), (3, 2), (1, 7)]),
    with_twin=st.booleans(),
    learned=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
    n=st.sampled_from([0, 1, 7, 33]),
    n_neighbors=st.sampled_from([1, 5, 60]),
    n_passes=st.integers(1, 3),
    with_near=st.booleans(),
    seed=st.integers(0, 50),
)
def test_against_the_reference(
    isa, shape, with_twin, learned, activation, n, n_neighbors, n_passes, with_near, seed
):
    p, q = shape
    spec = make_spec(seed, p, q, with_twin=with_twin, learned=learned, activation=activation)
    spec = replace(spec, n_passes=n_passes)
    targets = targets_of(spec, n, seed)
    near = np.random.default_rng([42, seed]).normal(size=(n, p)) if with_near else None
    k = min(n_neighbors, 3)
    options = {"n_neighbors": n_neighbors, "k": k, "near": near}
    found = CPP[isa].pipeline(spec).solve(targets, **options, n_threads=2)
    exact = REFERENCE.pipeline(spec).solve(targets, **options)
    assert found.x.shape == (n, k, p)
    if n:
        assert_alike(found, exact)


@pytest.mark.parametrize("isa", _core.isas())
def test_lookup_has_the_bits_of_the_reference(isa):
    """Without networks all is float64, and nothing may differ at all."""
    spec = make_spec(with_twin=False)
    targets = targets_of(spec, 200)
    found = CPP[isa].pipeline(spec).solve(targets, n_neighbors=9, k=4)
    exact = REFERENCE.pipeline(spec).solve(targets, n_neighbors=9, k=4)
    for field in ("x", "anchor", "status"):
        np.testing.assert_array_equal(getattr(found, field), getattr(exact, field))
    np.testing.assert_allclose(found.residual, exact.residual, rtol=1e-15)


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("n_neighbors", [1, 5, 33])
@pytest.mark.parametrize("learned", [False, True])
def test_same_bits_for_every_batch_and_number_of_threads(isa, n_neighbors, learned):
    spec = make_spec(learned=learned)
    targets = targets_of(spec, 150)
    pipeline = CPP[isa].pipeline(spec)
    k = min(n_neighbors, 4)
    whole = pipeline.solve(targets, n_neighbors=n_neighbors, k=k)
    for n_threads in (2, 3):
        again = pipeline.solve(targets, n_neighbors=n_neighbors, k=k, n_threads=n_threads)
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(again, field), getattr(whole, field))
    for start, n in ((0, 1), (3, 7), (50, 32), (149, 1)):
        part = pipeline.solve(targets[start : start + n], n_neighbors=n_neighbors, k=k)
        for field in FIELDS:
            np.testing.assert_array_equal(
                getattr(part, field), getattr(whole, field)[start : start + n]
            )


@pytest.mark.parametrize("isa", _core.isas())
def test_candidates_and_rank_are_solve_in_two_steps(isa):
    spec = make_spec()
    targets = targets_of(spec, 40)
    pipeline = CPP[isa].pipeline(spec)
    near = np.zeros((40, 2))
    candidates = pipeline.candidates(targets, n_neighbors=6, n_threads=2)
    images = surface(candidates.x.reshape(-1, 2)).reshape(40, 6, 3)
    in_steps = pipeline.rank(targets, candidates, images, k=4, near=near)
    at_once = pipeline.solve(targets, n_neighbors=6, k=4, near=near)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(in_steps, field), getattr(at_once, field))


@pytest.mark.parametrize("learned", [False, True])
def test_eight_threads_at_once_give_the_answers_of_one(learned):
    spec = make_spec(learned=learned)
    pipeline = get_backend("cpp").pipeline(spec)
    batches = [targets_of(spec, 64, seed) for seed in range(8)]
    expected = [pipeline.solve(y, n_neighbors=7, k=5) for y in batches]
    found = [[] for _ in batches]
    together = threading.Barrier(8)

    def work(i):
        together.wait()
        for repeat in range(30):
            found[i].append(
                pipeline.solve(batches[i], n_neighbors=7, k=5, n_threads=1 + repeat % 2)
            )

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers, right in zip(found, expected, strict=True):
        assert len(answers) == 30
        for answer in answers:
            for field in FIELDS:
                np.testing.assert_array_equal(getattr(answer, field), getattr(right, field))


def test_residuals_are_those_of_f():
    spec = make_spec()
    targets = spec.anchors_y + 0.05
    found = get_backend("cpp").pipeline(spec).solve(targets, n_neighbors=5, k=5)
    images = surface(found.x.reshape(-1, 2)).reshape(*found.x.shape[:2], 3)
    again = np.linalg.norm(images - targets[:, None], axis=2)
    np.testing.assert_allclose(found.residual, again, rtol=1e-14)
    assert (np.diff(found.residual, axis=1) >= 0).all()
    assert ((found.residual <= spec.tol) == (found.status == fi.Status.CONVERGED)).all()


@pytest.mark.parametrize("huge", [1e30, 1e200, -1e300])
@pytest.mark.parametrize("exact", [True, False])
def test_huge_targets_are_unreachable_not_invalid(huge, exact):
    spec = replace(make_spec(), anchors_exact=exact)
    targets = np.vstack([spec.anchors_y[:3], np.full((1, 3), huge)])
    for backend in (REFERENCE, get_backend("cpp")):
        found = backend.pipeline(spec).solve(targets, n_neighbors=4, k=4)
        assert (found.status[3] == fi.Status.UNREACHABLE).all()
        assert np.isfinite(found.x[3]).all()
        assert np.isfinite(found.residual[3]).all()


COUNTED = """
import ctypes, sys
sys.path[:0] = {path!r}
import numpy as np
from test_pipeline import make_spec, targets_of
from fastinv import _core
from fastinv.backends import get_backend
counter = ctypes.CDLL({library!r})
counter.malloc_count.restype = ctypes.c_long
spec = make_spec(learned={learned})
kernel = get_backend("cpp").pipeline(spec)._kernel
counts = []
for n in (1, 1, 1000):
    y = targets_of(spec, n)
    out = (np.empty((n, 5, 2)), np.empty((n, 5)), np.empty((n, 5), np.int64),
           np.empty((n, 5), np.int8))
    before = counter.malloc_count()
    kernel.solve(y, None, 5, 5, *out, 1)
    counts.append(counter.malloc_count() - before)
print(counts)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts calls of malloc with LD_PRELOAD")
@pytest.mark.parametrize("learned", [False, True])
def test_a_target_allocates_nothing(tmp_path, learned):
    library = malloc_counter.build(tmp_path)
    path = [str(Path(file).parent) for file in (__file__, malloc_counter.__file__)]
    script = COUNTED.format(path=path, library=str(library), learned=learned)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={"LD_PRELOAD": str(library), "PYTHONMALLOC": "pymalloc"},
        capture_output=True,
        text=True,
        check=True,
    )
    warm_up, single, thousand = json.loads(done.stdout)
    assert warm_up >= 0
    # The one is pybind11's list of arguments, which are more than it keeps room for.
    assert single <= 1
    # One piece of scratch for all targets, where it does not fit on the stack.
    assert thousand <= single + 1


def ranked_by_hand(backend, x, images, **changes):
    """Candidates `x` ``(k,)`` of the anchors 0, 1, 2, … = x on the line, for the target 0."""
    k = len(x)
    anchors = np.arange(float(k))[:, None]
    spec = PipelineSpec(
        anchors_x=anchors, anchors_y=anchors, twin=None, forward=None, lower=np.array([-np.inf]),
        upper=np.array([np.inf]), tol=0.25, coverage=np.inf, x_spread=np.ones(1),
        anchors_exact=False,
    )  # fmt: skip
    candidates = Candidates(
        np.array(x, dtype=float).reshape(1, k, 1), np.arange(k)[None], np.zeros((1, k), np.uint8),
        np.zeros(1),
    )  # fmt: skip
    fx = np.array(images, dtype=float).reshape(1, k, 1)
    return backend.pipeline(replace(spec, **changes)).rank(np.zeros((1, 1)), candidates, fx, k=k)


@pytest.mark.parametrize("backend", [REFERENCE, *CPP.values()])
def test_the_edges_of_the_rules(backend):
    at_tolerance = ranked_by_hand(backend, [5.0, 6.0], [0.25, np.nextafter(0.25, 1)])
    assert at_tolerance.status.tolist() == [[fi.Status.CONVERGED, fi.Status.APPROXIMATE]]

    not_finite = ranked_by_hand(backend, [np.nan, 6.0, -np.inf], [0.0, 0.1, 0.0])
    assert not_finite.status.tolist() == [
        [fi.Status.CONVERGED, fi.Status.INVALID, fi.Status.INVALID]
    ]
    assert not_finite.anchor.tolist() == [[1, 0, 2]]
    assert np.isinf(not_finite.residual[0, 1:]).all()

    # Anchor 1 is as far from the target as its candidate is: the candidate stays.
    tie = ranked_by_hand(backend, [7.0, 8.0], [0.1, 1.0], anchors_exact=True)
    assert tie.x.ravel().tolist() == [0.0, 8.0]
    assert tie.residual.tolist() == [[0.0, 1.0]]

    # Covered: one of the two distances is exactly the coverage.
    covered = ranked_by_hand(backend, [5.0], [0.5], coverage=0.5)
    assert covered.status[0, 0] == fi.Status.APPROXIMATE


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("learned", [False, True])
def test_several_passes_give_the_same_bits_for_every_batch_and_number_of_threads(isa, learned):
    spec = replace(make_spec(learned=learned), n_passes=3)
    targets = targets_of(spec, 150)
    pipeline = CPP[isa].pipeline(spec)
    whole = pipeline.solve(targets, n_neighbors=7, k=5)
    for n_threads in (2, 3):
        again = pipeline.solve(targets, n_neighbors=7, k=5, n_threads=n_threads)
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(again, field), getattr(whole, field))
    for start, n in ((0, 1), (3, 7), (50, 33)):
        part = pipeline.solve(targets[start : start + n], n_neighbors=7, k=5)
        for field in FIELDS:
            np.testing.assert_array_equal(
                getattr(part, field), getattr(whole, field)[start : start + n]
            )


# Polish, and anchors that are spread in x


@fi.forward(n_inputs=2, n_outputs=2)
def folded(x, y):
    """Four solutions inside of [-1, 1]², where there is any."""
    y[0] = x[0] ** 2 + 0.3 * x[1] ** 2
    y[1] = x[1] ** 2 - 0.2 * x[0] ** 2


def refined_spec(seed=0, *, cap=400, periods=np.inf, n_anchors=120, **changes):
    rng = np.random.default_rng([43, seed])
    anchors_x = rng.uniform(-1, 1, size=(n_anchors, 2))
    spec = PipelineSpec(
        anchors_x=anchors_x, anchors_y=folded(anchors_x), twin=None, forward=folded.address,
        lower=np.full(2, -1.0), upper=np.full(2, 1.0), tol=1e-9, coverage=0.5,
        x_spread=np.full(2, 0.6), apart=0.4, pool=8,
        refine=RefineSpec(None, cap, np.full(2, periods), 1e-6),
    )  # fmt: skip
    return replace(spec, **changes)


def assert_same_solutions(found, exact, tol):
    """Each converged solution of one is one of the other, row by row."""
    for row in range(len(found.x)):
        x = found.x[row][found.residual[row] <= tol]
        other = exact.x[row][exact.residual[row] <= tol]
        apart = np.linalg.norm(x[:, None] - other, axis=2)
        assert (len(x) == 0) == (len(other) == 0)
        assert (apart.min(axis=0, initial=np.inf) <= 1e-7).all()
        assert (apart.min(axis=1, initial=np.inf) <= 1e-7).all()


@settings(max_examples=30, deadline=None)
@given(
    isa=st.sampled_from(_core.isas()),
    with_twin=st.booleans(),
    apart=st.sampled_from([0.0, 0.4, 100.0]),
    pool=st.sampled_from([1, 3, 1000]),
    cap=st.sampled_from([5, 400]),
    n=st.sampled_from([0, 1, 7, 33]),
    n_neighbors=st.sampled_from([1, 5, 33]),
    with_near=st.booleans(),
    exact=st.booleans(),
    seed=st.integers(0, 50),
)
def test_polished_solutions_against_the_reference(
    isa, with_twin, apart, pool, cap, n, n_neighbors, with_near, exact, seed
):
    twin = make_spec(seed, 2, 2).twin if with_twin else None
    spec = refined_spec(seed, cap=cap, apart=apart, pool=pool, twin=twin, anchors_exact=exact)
    rng = np.random.default_rng([44, seed])
    targets = folded(rng.uniform(-1.1, 1.1, size=(n, 2))).reshape(n, 2)
    targets[rng.random(n) < 0.1] = np.nan
    near = rng.normal(size=(n, 2)) if with_near else None
    options = {"n_neighbors": n_neighbors, "k": n_neighbors, "near": near}
    found = CPP[isa].pipeline(spec).solve(targets, **options, n_threads=2)
    exact = REFERENCE.pipeline(spec).solve(targets, **options)
    if cap < 400 and with_twin:
        return  # a float32 network's start, which is not polished to its end
    converged = found.residual <= spec.tol
    np.testing.assert_array_equal(converged.sum(axis=1), (exact.residual <= spec.tol).sum(axis=1))
    np.testing.assert_allclose(
        np.sort(found.residual, axis=1), np.sort(exact.residual, axis=1), rtol=1e-6, atol=1e-9
    )
    assert_same_solutions(found, exact, spec.tol)


@pytest.mark.parametrize("backend", [REFERENCE, *CPP.values()])
def test_polish_finds_every_branch_and_puts_duplicates_last(backend):
    rng = np.random.default_rng(45)
    spec = refined_spec()
    truth = rng.uniform(0.3, 0.9, size=(33, 2))
    found = backend.pipeline(spec).solve(folded(truth), n_neighbors=16, k=16)
    assert (found.residual < 1e-14).all()
    assert (found.status == fi.Status.CONVERGED).all()
    signs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    for row in range(33):
        first = found.x[row, :4]
        order = np.lexsort(np.sign(first).T[::-1])
        np.testing.assert_allclose(first[order], signs * truth[row], atol=1e-7)
        # The first four are sorted by residual, and so are their copies.
        assert (np.diff(found.residual[row, :4]) >= 0).all()
        assert (np.diff(found.residual[row, 4:]) >= 0).all()


@pytest.mark.parametrize("backend", [REFERENCE, *CPP.values()])
def test_polish_from_the_exact_anchor_where_the_network_is_worse(backend):
    """The twin throws every candidate to a corner; the anchors' own basins must win."""
    net = NetworkSpec((6, 2), "tanh")
    parameters = np.zeros(net.n_parameters, dtype=np.float32)
    parameters[-2:] = 5.0
    twin = replace(make_spec(0, 2, 2).twin, spec=net, parameters=parameters)
    spec = refined_spec(twin=twin)
    targets = folded(np.array([[-0.5, -0.6], [0.5, -0.7]]))
    found = backend.pipeline(spec).solve(targets, n_neighbors=16, k=4)
    plain = backend.pipeline(refined_spec()).solve(targets, n_neighbors=16, k=4)
    assert_same_solutions(found, plain, spec.tol)
    corner = backend.pipeline(replace(spec, anchors_exact=False)).solve(
        targets, n_neighbors=16, k=1
    )
    assert (corner.x > 0).all()


@pytest.mark.parametrize("backend", [REFERENCE, *CPP.values()])
def test_anchors_are_spread_in_x(backend):
    """Nearest first; those close in x to a chosen one only where others are missing."""
    x = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [-5.0]])
    y = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [99.0]])
    spec = replace(
        refined_spec(), anchors_x=x, anchors_y=y, forward=None, refine=None,
        lower=np.full(1, -np.inf), upper=np.full(1, np.inf), x_spread=np.full(1, 0.5),
    )  # fmt: skip

    def anchors(n_neighbors, **changes):
        pipeline = backend.pipeline(replace(spec, **changes))
        found = pipeline.candidates(np.zeros((1, 1)), n_neighbors=n_neighbors)
        assert found.anchor_distance.tolist() == [0.0]
        np.testing.assert_array_equal(found.x[0], x[found.anchor[0]])
        return found.anchor[0].tolist()

    assert anchors(2, apart=0.0) == [0, 1]
    assert anchors(2, apart=1.0) == [0, 3]
    assert anchors(3, apart=1.0) == [0, 3, 5]
    assert anchors(3, apart=1.0, pool=1) == [0, 1, 2]
    assert anchors(2, apart=1.0, pool=2) == [0, 3]
    assert anchors(4, apart=1.0) == [0, 3, 5, 1]
    assert anchors(6, apart=1.0) == [0, 1, 2, 3, 4, 5]  # all there are, as they come
    assert anchors(2, apart=0.3) == [0, 2]  # 0.2 apart are 0.4 units, 0.1 are 0.2


@pytest.mark.parametrize("backend", [REFERENCE, *CPP.values()])
def test_a_polished_solution_on_a_bound_is_out_of_bounds_unless_it_solves(backend):
    spec = refined_spec(coverage=np.inf)
    outside, corner = folded(np.array([[1.3, 0.5], [1.0, 1.0]]))
    found = backend.pipeline(spec).solve(np.array([outside, corner]), n_neighbors=16, k=16)
    on_bound = (np.abs(found.x) == 1.0).any(axis=2)
    status = np.where(on_bound[0], fi.Status.OUT_OF_BOUNDS, fi.Status.APPROXIMATE)
    assert on_bound[0].any()
    np.testing.assert_array_equal(found.status[0], status)
    assert (found.status[1][found.residual[1] < 1e-9] == fi.Status.CONVERGED).all()
    assert (found.residual[1] < 1e-9).any()


@pytest.mark.parametrize("backend", [REFERENCE, *CPP.values()])
def test_duplicates_by_hand(backend):
    """Group 3: behind what did not converge, before what is invalid, the better one kept."""
    refine = RefineSpec(None, 10, np.array([10.0]), 0.5)
    changes = {"refine": refine, "forward": surface.address}
    ranked = ranked_by_hand(
        backend, [5.0, 5.5, 7.0, 1.0, -5.0, np.nan], [0.2, 0.1, 0.9, 0.0, 0.1, 0.0], **changes
    )
    # 5.5 is better than 5.0 within 0.5 of it; -5.0 is 5.0 modulo the period, and as good as 5.5.
    assert ranked.anchor.tolist() == [[3, 1, 2, 4, 0, 5]]
    alone = ranked_by_hand(backend, [5.0, 5.0], [0.1, 0.1], **changes)
    assert alone.anchor.tolist() == [[0, 1]]
    # Without a forward function nothing was polished, and nothing is a duplicate.
    plain = ranked_by_hand(backend, [5.0, 5.0, 7.0], [0.1, 0.1, 0.9], refine=refine)
    assert plain.anchor.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("backend", [REFERENCE, *CPP.values()])
def test_near_is_measured_modulo_the_periods(backend):
    anchors = np.array([[0.1], [2.0], [6.1]])
    spec = replace(
        refined_spec(), anchors_x=anchors, anchors_y=np.zeros((3, 1)), forward=None,
        lower=np.zeros(1), upper=np.full(1, 2 * np.pi), x_spread=np.ones(1), apart=0.0,
        refine=RefineSpec(None, 10, np.array([2 * np.pi]), 1e-6),
    )  # fmt: skip
    pipeline = backend.pipeline(spec)
    targets, near = np.zeros((1, 1)), np.array([[0.0]])
    candidates = pipeline.candidates(targets, n_neighbors=3)
    ranked = pipeline.rank(targets, candidates, np.zeros((1, 3, 1)), k=3, near=near)
    assert ranked.anchor.tolist() == [[0, 2, 1]]


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("learned", [False, True])
def test_polish_gives_the_same_bits_for_every_batch_and_number_of_threads(isa, learned):
    refine = RefineSpec(None, 30, np.full(2, np.inf), 1e-6)
    spec = replace(make_spec(learned=learned), refine=refine, apart=0.3)
    targets = targets_of(spec, 150)
    pipeline = CPP[isa].pipeline(spec)
    whole = pipeline.solve(targets, n_neighbors=7, k=5)
    for n_threads in (2, 3):
        again = pipeline.solve(targets, n_neighbors=7, k=5, n_threads=n_threads)
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(again, field), getattr(whole, field))
    for start, n in ((0, 1), (3, 7), (50, 33)):
        part = pipeline.solve(targets[start : start + n], n_neighbors=7, k=5)
        for field in FIELDS:
            np.testing.assert_array_equal(
                getattr(part, field), getattr(whole, field)[start : start + n]
            )


def test_scratch_is_large_enough_for_the_polish():
    """Of a network with many outputs, whose derivative takes the most room."""
    refine = RefineSpec(None, 30, np.full(7, np.inf), 1e-6)
    spec = replace(make_spec(0, 7, 33, n_anchors=400), refine=refine, apart=0.3, pool=4)
    targets = targets_of(spec, 33)
    found = get_backend("cpp").pipeline(spec).solve(targets, n_neighbors=33, k=5)
    finite = np.isfinite(targets).all(axis=1)
    assert np.isfinite(found.residual[finite]).all()
