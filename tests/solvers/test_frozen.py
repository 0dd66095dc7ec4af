"""Frozen solvers: the bits of `solve`, one immutable object, no allocation, clear refusals."""

import copy
import json
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import malloc_counter
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

import fastinv as fi

ARM = fi.problems.two_link_arm
FIELDS = ("x", "residual", "anchor", "status")
NETWORK = {"hidden_layer_sizes": (12,), "max_iter": 2}
SMALL = fi.MLPRegressor(
    (8,), max_iter=5, learning_rate="cosine", early_stopping=False, random_state=0
)
SOLVERS = {
    "twin": lambda f, **o: fi.TwinSolver(
        f,
        network=fi.TwinNetwork(**NETWORK),
        pairs=fi.SolvedPairs(pairs_per_epoch=512),
        random_state=0,
        **o,
    ),
    "nearest": lambda f, **o: fi.NearestSolver(f, random_state=0, **o),
    "direct": lambda f, **o: fi.DirectSolver(
        f, network=fi.MLPRegressor(n_iter_no_change=None, **NETWORK), random_state=0, **o
    ),
    "mixture": lambda f, **o: fi.MixtureSolver(
        f, density=fi.MixtureDensityNetwork(3, **NETWORK), random_state=0, **o
    ),
}


def fitted(name, backend="cpp", learned=False, n_anchors=150, refine=None):
    options = {"backend": backend, "refine": refine}
    if learned:
        return SOLVERS[name](SMALL, **options).fit(*ARM.sample(n_anchors, random_state=1))
    return SOLVERS[name](ARM.forward, bounds=ARM.bounds, n_anchors=n_anchors, **options).fit()


@pytest.fixture(scope="module")
def twin():
    return fitted("twin")


@pytest.fixture(scope="module")
def hot(twin):
    return twin.freeze()


def targets_of(n, seed=0):
    _, y = ARM.sample(n, random_state=seed)
    rng = np.random.default_rng([80, seed])
    y[rng.random(n) < 0.15] *= 20.0
    y[rng.random(n) < 0.15] = np.nan
    y[rng.random(n) < 0.1, 1] = -np.inf
    return y


def assert_row(solution, solutions, row=0):
    """`solution` is row `row` of `solutions`, bit for bit."""
    for field in FIELDS:
        one, many = getattr(solution, field), getattr(solutions, field)[row]
        assert one.dtype == many.dtype
        np.testing.assert_array_equal(one, many)
    np.testing.assert_array_equal(solution.target, solutions.targets[row])


def assert_same(found, expected):
    np.testing.assert_array_equal(found.targets, expected.targets)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(
    ("backend", "refine"), [("cpp", True), ("cpp", False), ("reference", False)]
)
@pytest.mark.parametrize("name", SOLVERS)
def test_the_bits_of_solve(name, backend, refine, learned):
    solver = fitted(name, backend, learned, refine=refine)
    assert solver.options_.polish == refine
    y, state = targets_of(33), np.array([0.3, -0.8])
    for k in (None, 1) if name == "direct" else (None, 1, 7):
        hot = solver.freeze(k)
        for near in (None, state):
            expected = solver.solve(y, k, near=near)
            assert hot.k == expected.n_solutions
            assert_same(hot(y, near=near), expected)
            out = hot.empty()
            for row in range(33 if backend == "cpp" else 2):
                # BLAS rounds by batch, `cpp` does not.
                expected = solver.solve(y[row], k, near=near)
                assert_row(hot(y[row], near=near), expected)
                assert hot(y[row], near=near, out=out) is out
                assert_row(out, expected)


@settings(max_examples=40, deadline=None)
@given(
    n=st.sampled_from([0, 1, 7, 33]),
    with_near=st.sampled_from([None, "one", "each"]),
    reuse=st.booleans(),
    seed=st.integers(0, 99),
)
def test_batches(twin, hot, n, with_near, reuse, seed):
    y, rng = targets_of(n, seed), np.random.default_rng([81, seed])
    near = {None: None, "one": rng.normal(size=2), "each": rng.normal(size=(n, 2))}[with_near]
    out = hot.empty(n) if reuse else None
    found = hot(y, near=near, out=out)
    assert (found is out) == reuse
    assert_same(found, twin.solve(y, near=near))


@pytest.mark.parametrize(
    "given_as",
    [
        lambda y: y.tolist(),
        tuple,
        lambda y: np.repeat(y, 2)[::2],
        lambda y: y.astype(">f8"),
        lambda y: y.astype(object),
        lambda y: y.astype(np.dtype("f8", metadata={"unit": "m"})),
        lambda y: np.frombuffer(b"\0" + y.tobytes(), np.uint8)[1:].view(np.float64),
        lambda y: y.view(np.recarray),
        np.ma.masked_invalid,
    ],
)
def test_other_forms_of_one_target(twin, hot, given_as):
    y, state = np.array([1.4, 0.9]), np.array([1.0, -1.0])
    assert_row(hot(given_as(y)), twin.solve(y))
    assert_row(hot(given_as(y), near=given_as(state)), twin.solve(y, near=state))


def test_a_masked_value_is_none(hot):
    masked = np.ma.array([1.4, 0.9], mask=[False, True])
    assert (hot(masked).status == fi.Status.INVALID).all()


def test_one_output():
    cubic = fi.problems.cubic
    solver = fi.NearestSolver(cubic.forward, bounds=cubic.bounds, random_state=0).fit()
    hot = solver.freeze(3)
    for y in (0.1, np.float64(0.1), [0.1], np.array(0.1), np.array([0.1])):
        assert_row(hot(y), solver.solve(0.1, 3))
    assert_same(hot([[0.1], [0.2]]), solver.solve([0.1, 0.2], 3))
    with pytest.raises(ValueError, match=r"shape \(1,\) \(or a number\) .* got \(2,\)"):
        hot([0.1, 0.2])


def test_many_inputs_with_a_state():
    solver = fi.NearestSolver(SMALL, n_candidates=3)
    rng = np.random.default_rng(82)
    X = rng.normal(size=(40, 50))
    solver.fit(X, X[:, :2])
    hot, state = solver.freeze(), rng.normal(size=50)
    assert_row(hot(X[0, :2].copy(), near=state), solver.solve(X[0, :2], near=state))


def test_the_state_and_the_target_may_be_parts_of_out(twin, hot):
    y, out = np.array([1.4, 0.9]), hot.empty()
    before = hot(y, out=out).x[4].copy()
    assert_row(hot(out.target, near=out.x[4], out=out), twin.solve(y, near=before))
    many = twin.solve(targets_of(9), 1)
    expected = twin.solve(many.targets, 1, near=np.nan_to_num(many.best))
    many.x[:] = np.nan_to_num(many.x)
    assert_same(twin.solve(many.targets, 1, near=many.best, out=many), expected)


def test_views_show_what_out_was_filled_with(hot):
    out = hot.empty()
    x, best, status = out.x, out.best, out.status
    assert (status == fi.Status.INVALID).all()
    assert np.isnan(x).all()
    first = hot(ARM.forward([0.4, 0.8]), out=out).x.copy()
    np.testing.assert_array_equal(x, first)
    assert (status != fi.Status.INVALID).all()
    hot(ARM.forward([-0.4, 0.9]), out=out)
    assert (x != first).any()
    np.testing.assert_array_equal(best, x[0])


def test_a_view_outlives_its_solution(hot):
    x = hot([1.4, 0.9]).x
    copies = [hot([0.1 * i, 0.9]) for i in range(50)]
    np.testing.assert_array_equal(x, hot([1.4, 0.9]).x)
    assert len(copies) == 50


def test_eight_threads_share_one_and_another_fits(hot):
    targets = [ARM.sample(20, random_state=20 + i)[1] for i in range(8)]
    expected = [[pickle.dumps(hot(y)) for y in batch] for batch in targets]
    batches = [pickle.dumps(hot(batch)) for batch in targets]
    failures, together = [], threading.Barrier(9)

    def work(i):
        together.wait()
        out = hot.empty()
        for _ in range(20):
            found = [pickle.dumps(hot(y, out=out)) for y in targets[i]]
            if found != expected[i] or pickle.dumps(hot(targets[i])) != batches[i]:
                failures.append(i)

    def fit():
        together.wait()
        fitted("twin")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    threads.append(threading.Thread(target=fit))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


COUNTED = """
import ctypes, itertools, sys
sys.path[:0] = {path!r}
import numpy as np
from test_frozen import fitted
counter = ctypes.CDLL({library!r})
counter.malloc_count.restype = ctypes.c_long
hot = fitted("twin", learned={learned}, refine={refine}).freeze()
out, y, state = hot.empty(), np.array([1.4, 0.9]), np.zeros(2)
counts = []
for _ in range(2):
    before = counter.malloc_count()
    for _ in itertools.repeat(None, 1000):
        hot(y, out=out)
        hot(y, near=state, out=out)
        hot(y)
    counts.append(counter.malloc_count() - before)
print(counts)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts calls of malloc with LD_PRELOAD")
@pytest.mark.parametrize(("learned", "refine"), [(False, False), (False, True), (True, True)])
def test_a_call_allocates_nothing(tmp_path, learned, refine):
    library = malloc_counter.build(tmp_path)
    folders = (__file__, malloc_counter.__file__, Path(fi.__file__).parent)
    path = [str(Path(folder).parent) for folder in folders]
    script = COUNTED.format(path=path, library=str(library), learned=learned, refine=refine)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={"LD_PRELOAD": str(library), "PYTHONMALLOC": "pymalloc"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    _, counted = json.loads(done.stdout)
    assert counted <= 1  # of 3000 calls: the counter's own


def test_a_refined_solver_and_its_copies_polish(twin):
    """`twin` is refined by default; so is what is pickled, or frozen, or both."""
    _, y = ARM.sample(20, random_state=4)
    expected = twin.solve(y)
    assert expected.residual[:, 0].max() < 1e-12
    again = pickle.loads(pickle.dumps(twin))
    assert again.options_.polish
    assert_same(again.solve(y), expected)
    assert_same(again.freeze()(y), expected)
    found, wanted = again.solve_all(y), twin.solve_all(y)
    assert_same(found, wanted)
    np.testing.assert_array_equal(found.count, wanted.count)


def test_fitting_again_leaves_it_as_it_was(twin):
    solver = copy.deepcopy(twin)
    hot, y = solver.freeze(), targets_of(20)
    expected = twin.solve(y)
    solver.twin_.parameters[:] = 0.0
    solver.set_params(n_candidates=9, random_state=5, network__max_iter=1).fit()
    assert solver.solve(y).n_solutions == 9
    assert_same(hot(y), expected)
    assert_row(hot(y[0]), expected)
    assert_same(pickle.loads(pickle.dumps(hot))(y), expected)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("refine", [False, True])
def test_pickle(name, learned, refine):
    hot = fitted(name, learned=learned, refine=refine).freeze(1)
    again, y = pickle.loads(pickle.dumps(hot)), targets_of(5)
    assert (again.k, repr(again)) == (1, repr(hot))
    for row in range(5):
        assert_row(again(y[row]), hot(y), row)
    assert copy.copy(hot) is copy.deepcopy(hot) is hot


def test_it_cannot_be_changed(hot):
    for name in ("k", "n_inputs", "n_outputs", "n_threads", "_solver", "other"):
        with pytest.raises(AttributeError):
            setattr(hot, name, 1)
    own = hot._solver
    for array in (own.anchors_x_, own.problem_.region.scale, own.twin_.parameters, own.bounds_):
        assert not array.flags.writeable
    with pytest.raises(AttributeError):
        hot.empty().x = np.zeros((5, 2))


def test_attributes(twin, hot):
    assert (hot.n_inputs, hot.n_outputs, hot.k, hot.n_threads) == (2, 2, 5, None)
    assert repr(hot) == "FrozenSolver of a TwinSolver: R^2 to 5 solutions in R^2 each"
    assert fitted("nearest").set_params(n_threads=2).freeze(1).n_threads == 2


def test_a_solution_as_an_object(hot):
    solution = hot([1.4, 0.9])
    assert len(solution) == solution.n_solutions == 5
    assert repr(solution).startswith("Solution: 5 solutions, x in R^2; best ")
    assert repr(hot([np.nan, 0.0])).endswith("best INVALID, residual inf")
    again = pickle.loads(pickle.dumps(solution))
    assert_row(again, solution.as_solutions())
    copied = copy.copy(solution)
    solution.x[:] = 7.0
    assert (copied.x != 7.0).all()
    assert (solution.as_solutions().x == 7.0).all()
    for sizes in ((0, 1, 1), (1, 1, 2**40), (-1, 2, 2)):
        with pytest.raises(ValueError, match="must be from 1 to 2"):
            fi.Solution(*sizes)


def test_a_slow_forward_function_lets_other_threads_run():
    @fi.forward(n_inputs=1, n_outputs=1)
    def slow(x, y):
        total = 0.0
        for i in range(20_000):
            total += np.sin(x[0] + i)
        y[0] = total

    hot = fi.NearestSolver(slow, bounds=[(0, 1)], n_anchors=20, random_state=0).fit().freeze()
    assert hot._releases_gil
    assert_row(hot(np.array([0.1])), hot([[0.1]]))


@pytest.mark.parametrize("name", SOLVERS)
def test_out_of_solve_where_only_python_can_evaluate_f(name):
    options = {"bounds": ARM.bounds, "n_anchors": 60}
    solver = SOLVERS[name](lambda x: ARM.forward(x), **options).fit()
    y = targets_of(4)
    out = solver.solve(targets_of(4, 1))
    assert solver.solve(y, out=out) is out
    assert_same(out, solver.solve(y))


BAD_CALLS = {
    "no target": ((), {}, TypeError, "takes the target.s. y, got none"),
    "two": (([0.0, 0.0], None), {}, TypeError, "one positional argument, y, got 2"),
    "unknown": (([0.0, 0.0],), {"k": 3}, TypeError, "y, near and out, each once, .* 'k'"),
    "y twice": (([0.0, 0.0],), {"y": 3}, TypeError, "each once, got an argument 'y'"),
    "shape": ((np.zeros(3),), {}, ValueError, r"y must have shape \(2,\) .* got \(3,\)"),
    "columns": ((np.zeros((3, 3)),), {}, ValueError, r"\(n, 2\) for many, got \(3, 3\)"),
    "number": ((1.0,), {}, ValueError, r"y must have shape \(2,\) .* got \(\)"),
    "text": ((["a", "b"],), {}, ValueError, "y must hold real numbers"),
    "complex": ((np.zeros(2, complex),), {}, ValueError, "real numbers, got dtype complex128"),
    "near, shape": ((np.zeros(2),), {"near": np.zeros(3)}, ValueError, "near must have shape"),
    "out, type": ((np.zeros(2),), {"out": np.zeros(2)}, TypeError, "a Solution for one target"),
    "out, sizes": (
        (np.zeros(2),), {"out": fi.Solution(4, 2, 2)}, ValueError,
        r"\(k, p, q\) = \(5, 2, 2\), got \(4, 2, 2\)"),
    "out, one for many": (
        (np.zeros((1, 2)),), {"out": fi.Solution(5, 2, 2)}, TypeError, "must be a Solutions"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls(hot, case):
    arguments, options, error, message = BAD_CALLS[case]
    with pytest.raises(error, match=message):
        hot(*arguments, **options)


def test_bad_freezing(twin):
    with pytest.raises(TypeError, match="was not initialised"):
        fi.FrozenSolver.__new__(fi.FrozenSolver)(np.zeros(2))
    with pytest.raises(NotFittedError, match="this TwinSolver is not fitted yet"):
        fi.TwinSolver().freeze()
    with pytest.raises(ValueError, match="k must be at most the number of anchors, 150, got 151"):
        twin.freeze(151)
    with pytest.raises(ValueError, match="k must be positive, got 0"):
        twin.freeze(0)


def test_what_a_frozen_solver_knows_of_its_solutions():
    solver = fi.NearestSolver(ARM.forward, bounds=ARM.bounds, random_state=0).fit()
    hot, y = solver.freeze(k=2), np.array([1.4, 0.9])
    out = hot(y)
    known, expected = hot.as_solutions(out), solver.solve(y, 2)
    for field in ("targets", "x", "residual", "anchor", "status", "error", "x_error", "isolated"):
        np.testing.assert_array_equal(getattr(known, field), getattr(expected, field))
    assert known.explain(0) == expected.explain(0)
    hot(np.array([0.5, 1.8]), out=out)  # the copy stays
    np.testing.assert_array_equal(known.x, expected.x)
    with pytest.raises(
        TypeError, match="solution must be a Solution for one target, got Solutions"
    ):
        hot.as_solutions(known)
    with pytest.raises(
        ValueError, match=r"solution must be for \(k, p, q\) = \(2, 2, 2\), got \(5"
    ):
        hot.as_solutions(solver.freeze()(y))


def test_one_that_was_not_initialised_says_so():
    """As a debugger meets it where `freeze` has raised."""
    half_made = fi.FrozenSolver.__new__(fi.FrozenSolver)
    for use in (repr, lambda hot: hot([1.0, 2.0]), lambda hot: hot.n_inputs):
        with pytest.raises(TypeError, match="not initialised"):
            use(half_made)
