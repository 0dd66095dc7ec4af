"""The options of a chain: what each does, what it may be, and that the extension reads them all."""

from dataclasses import FrozenInstanceError, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from chains import BACKENDS, CPP, folded, polished_setup
from parabola import affine_twin, parabola, rank_residuals, verify_residuals

from fastinv import _core
from fastinv.backends import CandidateFlag, PipelineOptions
from fastinv.backends.cpp.nouns import native_anchors, native_problem

NAMES = [field.name for field in fields(PipelineOptions)]
INF = np.inf


def native_pipeline(options):
    """The extension's pipeline, made with `options`, whatever that is."""
    setup, cpp = parabola(), CPP["baseline"]
    anchors = native_anchors(cpp.anchors(setup.anchors_x, setup.anchors_y))
    return _core.Pipeline(
        native_problem(setup.problem, "baseline"), anchors, None, options, "baseline"
    )


class Recorded:
    """The default options, and the names that were read of them."""

    def __init__(self):
        self.read = []

    def __getattr__(self, name):
        self.read.append(name)
        return getattr(PipelineOptions(), name)


def test_the_extension_reads_the_same_options_in_the_same_order():
    options = Recorded()
    native_pipeline(options)
    assert options.read == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_extension_misses_any_one_option(name):
    options = vars(PipelineOptions()).copy()
    native_pipeline(SimpleNamespace(**options))
    del options[name]
    with pytest.raises(AttributeError, match=f"'{name}'"):
        native_pipeline(SimpleNamespace(**options))


@pytest.mark.parametrize("name", ["pool_factor", "n_passes"])
def test_the_extension_refuses_counts_that_it_could_not_work_with(name):
    options = SimpleNamespace(**{**vars(PipelineOptions()), name: 0})
    with pytest.raises(ValueError, match=f"{name}.* must be at least 1"):
        native_pipeline(options)


# One case for each option: a call whose result its change must alter


def ranked_row(backend, **options):
    """Two candidates that converged, of which the second extrapolated, and one far off."""
    return rank_residuals(
        backend, [5.0, 0.02, 9.0], flags=[0, CandidateFlag.EXTRAPOLATED, 0], distance=2.0,
        x=[0.0, 0.5, 1.0], anchor=[3, 4, 4], **options,
    )  # fmt: skip


def verified_row(backend, **options):
    """The second one is worse than its anchor."""
    return verify_residuals(backend, [0.02, 5.0], x=[0.1, 0.5], anchor=[3, 4], **options)


def far_target(backend, **options):
    setup = parabola(**options)
    return setup.solve(backend, [[90.0]], n_candidates=3, k=3)


def spread_anchors(backend, **options):
    setup = polished_setup(polish=False, **{"branch_distance": 0.4, **options})
    return setup.pipeline(backend).propose(setup.goal(setup.anchors_y[:3]), 4)


def passes(backend, **options):
    setup = parabola(twin=affine_twin((0.1, 0.0, 0.0)), **options)
    return setup.solve(backend, [[2.0]], n_candidates=3, k=3)


def polished(backend, **options):
    setup = polished_setup(**options)
    return setup.solve(backend, folded(np.array([[0.5, 0.6]])), n_candidates=12, k=12)


def two_solutions(backend, **options):
    """A quarter apart, and something else."""
    return rank_residuals(backend, [0.01, 0.02, 5.0], x=[0.0, 0.25, 9.0], polish=True, **options)


CASES = {
    "coverage": (far_target, {"coverage": 1.0}),
    "anchors_exact": (verified_row, {"anchors_exact": True}),
    "trust_residual": (ranked_row, {"trust_residual": False}),
    "branch_distance": (spread_anchors, {"branch_distance": 0.0}),
    "pool_factor": (spread_anchors, {"pool_factor": 1}),
    "n_passes": (passes, {"n_passes": 2}),
    "polish": (polished, {"polish": False}),
    "max_evaluations": (polished, {"max_evaluations": 5}),
    "sufficient_residual": (polished, {"sufficient_residual": 0.01}),
    "longest_step": (polished, {"longest_step": 1e-3}),
    "separation": (two_solutions, {"separation": 0.3}),
}


def test_there_is_a_case_for_every_option():
    assert list(CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_option_matters(name, backend):
    call, change = CASES[name]
    before, after = (call(BACKENDS[backend], **options) for options in ({}, change))
    assert any(
        getattr(before, array).tobytes() != getattr(after, array).tobytes()
        for array in ("x", "fx", "residual", "anchor", "flags", "status")
        if hasattr(before, array)
    )


def test_what_a_search_takes_of_them():
    """The cap on evaluations, and when two solutions are one."""
    setup = parabola(lower=-3.0, upper=3.0, tol=1e-9)
    for name, backend in BACKENDS.items():
        counts = [
            replace(setup, **changes).search(backend).solve_all(
                setup.goal([[2.0]]), k=4, n_starts=7
            ).n_found.tolist()
            for changes in ({}, {"separation": 10.0}, {"max_evaluations": 1})
        ]  # fmt: skip
        assert counts == [[2], [1], [0]], name


# What they may be

WRONG = [
    ("coverage", -1.0, ValueError, "coverage must be finite and at least 0.0, got -1.0"),
    ("coverage", np.nan, ValueError, "coverage must be finite and at least 0.0, got nan"),
    ("coverage", "far", TypeError, "coverage must be a number, got 'far'"),
    ("coverage", None, TypeError, "coverage must be a number, got None"),
    ("coverage", True, TypeError, "coverage must be a number, got True"),
    ("anchors_exact", 1, TypeError, "anchors_exact must be True or False, got 1"),
    ("anchors_exact", None, TypeError, "anchors_exact must be True or False, got None"),
    ("trust_residual", "no", TypeError, "trust_residual must be True or False, got 'no'"),
    ("branch_distance", -0.1, ValueError, "branch_distance must be finite and at least 0.0"),
    ("branch_distance", np.nan, ValueError, "branch_distance must be finite and at least 0.0"),
    ("branch_distance", [1.0], TypeError, r"branch_distance must be a number, got \[1.0\]"),
    ("pool_factor", 0, ValueError, "pool_factor must be positive, got 0"),
    ("pool_factor", 2.0, TypeError, "pool_factor must be an integer, got 2.0"),
    ("pool_factor", True, TypeError, "pool_factor must be an integer, got True"),
    ("pool_factor", 2**31, ValueError, "pool_factor must be .*less than 2147483648"),
    ("n_passes", 0, ValueError, "n_passes must be positive, got 0"),
    ("n_passes", "2", TypeError, "n_passes must be an integer, got '2'"),
    ("n_passes", 10**30, ValueError, "n_passes must be .*less than 2147483648"),
    ("polish", 0, TypeError, "polish must be True or False, got 0"),
    ("max_evaluations", 0, ValueError, "max_evaluations must be positive, got 0"),
    ("max_evaluations", INF, TypeError, "max_evaluations must be an integer, got inf"),
    ("max_evaluations", 2**63, ValueError, "max_evaluations must be .*less than 2147483648"),
    ("sufficient_residual", -1.0, ValueError, "sufficient_residual must be finite and at least 0"),
    ("sufficient_residual", "0", TypeError, "sufficient_residual must be a number, got '0'"),
    ("longest_step", np.nan, ValueError, "longest_step must be finite and at least 0.0, got nan"),
    ("longest_step", None, TypeError, "longest_step must be a number, got None"),
    ("separation", -1e-9, ValueError, "separation must be finite and at least 0.0"),
    ("separation", 1j, TypeError, "separation must be a number, got 1j"),
]


@pytest.mark.parametrize(("name", "value", "error", "words"), WRONG)
def test_wrong_options(name, value, error, words):
    with pytest.raises(error, match=words):
        PipelineOptions(**{name: value})


def test_every_option_is_refused_something():
    assert {name for name, *_ in WRONG} == set(NAMES)


def test_limits_and_kinds_that_are_accepted():
    options = PipelineOptions(
        coverage=0.0, branch_distance=INF, pool_factor=np.int64(2**31 - 1), n_passes=np.int32(2),
        max_evaluations=2**31 - 1, separation=np.float32(0.5),
    )  # fmt: skip
    native_pipeline(options)
    native_pipeline(PipelineOptions(separation=INF, coverage=3))
    with pytest.raises(FrozenInstanceError):
        options.coverage = 1.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_large_pool_is_all_anchors(backend):
    setup = polished_setup(polish=False)
    goal = setup.goal(setup.anchors_y[:7])
    found = [
        replace(setup, pool_factor=factor).pipeline(BACKENDS[backend]).propose(goal, 5).anchor
        for factor in (1000, 2**31 - 1)
    ]
    np.testing.assert_array_equal(*found)
