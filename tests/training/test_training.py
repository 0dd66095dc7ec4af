"""The training loop: schedules, stopping, best weights, interruption, checkpoints."""

from __future__ import annotations

import itertools
import math
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastinv.backends import get_backend
from fastinv.functions.networks import NetworkSpec
from fastinv.training import FixedData, Training, train
from fastinv.training.checkpoints import read_tensors, write_tensors

SPEC = NetworkSpec((2, 7, 1), "tanh")
TRAINING = Training(batch_size=8, max_iter=12, learning_rate_init=0.02, n_iter_no_change=50)


def data(n=33, seed="training data"):
    rng = np.random.default_rng(list(seed.encode()))
    X = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
    return X, np.sin(3 * X[:, :1] * X[:, 1:])


def new_trainer(backend="cpp", seed=3):
    parameters = np.random.default_rng(seed).normal(0, 0.5, SPEC.n_parameters).astype(np.float32)
    return get_backend(backend).trainer(SPEC, parameters)


class Scripted:
    """A trainer that reports given losses; its parameters are the number of epochs trained."""

    def __init__(self, losses, validation_losses=(), interrupt_at=None):
        self.losses, self.validation_losses = losses, validation_losses
        self.interrupt_at = interrupt_at
        self.n = 0
        self.rates = []

    def train_epoch(self, X, Y, order, *, batch_size, learning_rate, n_threads):
        assert sorted(order) == list(range(len(X)))
        self.rates.append(learning_rate)
        self.n += 1
        if self.interrupt_at == self.n:
            raise KeyboardInterrupt
        return float(self.losses[self.n - 1])

    def loss(self, X, Y, *, n_threads):
        return float(self.validation_losses[self.n - 1])

    def parameters(self):
        return np.array([float(self.n)])


def run_scripted(trainer, training, validated=False):
    source = FixedData(np.zeros((3, 1)), np.zeros((3, 1)))
    rng = np.random.default_rng(0)
    validation = (np.zeros((1, 1)), np.zeros((1, 1))) if validated else None
    return train(trainer, source, training, rng=rng, validation=validation)


class InterruptedSource(FixedData):
    """Data that raise KeyboardInterrupt in place of epoch `at`, counted from 0."""

    at = 0
    n = -1

    def epoch(self, rng):
        object.__setattr__(self, "n", self.n + 1)
        if self.n == self.at:
            rng.random(5)  # an epoch cut short leaves its traces
            raise KeyboardInterrupt
        return super().epoch(rng)


# --- schedules ---------------------------------------------------------------------------------


def test_constant_rate():
    assert Training(learning_rate_init=0.1).rate(77, 3) == 0.1


@pytest.mark.parametrize("epoch", [0, 1, 5, 9])
def test_cosine_rate(epoch):
    training = Training(
        learning_rate="cosine", max_iter=10, learning_rate_init=0.5, learning_rate_min=0.1
    )
    expected = 0.1 + 0.4 * 0.5 * (1 + math.cos(math.pi * epoch / 10))
    assert training.rate(epoch, 0) == pytest.approx(expected, rel=1e-15)


@given(max_iter=st.integers(1, 500), first=st.floats(1e-8, 1.0))
def test_cosine_falls_from_first_to_nearly_zero(max_iter, first):
    training = Training(learning_rate="cosine", max_iter=max_iter, learning_rate_init=first)
    rates = [training.rate(epoch, 0) for epoch in range(max_iter)]
    assert rates[0] == first
    assert all(a > b > 0 for a, b in itertools.pairwise(rates))
    assert rates[-1] <= first * 2.5 / max_iter**2 or max_iter == 1


def test_plateau_halves_after_patience_epochs_without_progress():
    losses = [5, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3]
    trainer = Scripted(losses)
    training = Training(
        learning_rate="plateau",
        plateau_patience=2,
        learning_rate_init=1.0,
        learning_rate_min=0.2,
        max_iter=len(losses),
        n_iter_no_change=20,
    )
    outcome = run_scripted(trainer, training)
    # No progress in epochs 3 to 7 (halved after 4 and 6) and 9 to 11 (after 10, at the minimum).
    assert trainer.rates == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2]
    assert outcome.history.learning_rate == tuple(trainer.rates)


def test_plateau_counts_steps_of_its_own_size():
    """Keras' min_delta: small steps count once they add up, and only against plateaus."""
    losses = [5.0, 4.9, 4.8, 4.7, 4.6, 3.9, 3.8, 3.7, 3.6, 3.5, 3.4]
    trainer = Scripted(losses)
    training = Training(
        learning_rate="plateau",
        plateau_patience=3,
        plateau_tol=1.0,
        learning_rate_init=1.0,
        max_iter=len(losses),
        n_iter_no_change=1,
    )
    outcome = run_scripted(trainer, training)
    # From 5: epochs 2, 3, 4 fall short, so does 5, while 6 is 1.1 below; then 7, 8, 9 fall short.
    assert trainer.rates == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert outcome.stopped == "max_iter"  # every epoch was progress by tol


# --- stopping ----------------------------------------------------------------------------------


def test_stops_without_progress_in_training_loss():
    outcome = run_scripted(Scripted([3, 2, 1, 1, 1, 1, 1, 0]), Training(n_iter_no_change=3))
    assert outcome.stopped == "no_change"
    assert outcome.history.loss == (3, 2, 1, 1, 1, 1, 1)  # as scikit-learn: more than 3 epochs
    assert outcome.best_loss == 1
    assert outcome.parameters == [7]  # the last ones
    assert outcome.history.validation_loss == ()
    assert outcome.best_validation_loss is None


def test_progress_less_than_tol_is_none():
    losses = 1.0 - 0.009 * np.arange(100)
    training = Training(n_iter_no_change=2, tol=0.01, max_iter=100)
    assert run_scripted(Scripted(losses), training).stopped == "no_change"
    assert run_scripted(Scripted(losses), replace(training, tol=0.008)).stopped == "max_iter"


def test_early_stopping_keeps_best_weights():
    trainer = Scripted(np.linspace(9, 1, 20), [5, 3, 4, 2, 6, 6, 6, 6, 6, 1])
    training = Training(early_stopping=True, n_iter_no_change=3, max_iter=20)
    outcome = run_scripted(trainer, training, validated=True)
    assert outcome.stopped == "no_change"
    assert outcome.history.validation_loss == (5, 3, 4, 2, 6, 6, 6, 6)
    assert outcome.best_validation_loss == 2
    assert outcome.parameters == [4]


def test_validation_without_early_stopping_only_chooses_weights():
    trainer = Scripted([5, 4, 3, 2, 1], [1, 0.5, 2, 3, 4])
    outcome = run_scripted(trainer, Training(n_iter_no_change=1, max_iter=5), validated=True)
    assert outcome.stopped == "max_iter"
    assert outcome.parameters == [2]


def test_early_stopping_without_validation_set_is_refused():
    with pytest.raises(ValueError, match="early_stopping needs a validation set"):
        run_scripted(Scripted([1]), Training(early_stopping=True))


@pytest.mark.parametrize(
    ("losses", "validation_losses"), [([1, np.nan], [1, 1]), ([1, 1], [1, np.inf])]
)
def test_divergence_says_where_and_what_to_do(losses, validation_losses):
    with pytest.raises(FloatingPointError, match=r"epoch 2 at learning rate 0\.001.*lower"):
        run_scripted(Scripted(losses, validation_losses), Training(), validated=True)


def test_parameters_that_are_not_finite_are_divergence():
    trainer = Scripted([1.0])
    trainer.parameters = lambda: np.array([0.0 if trainer.n == 0 else np.inf])
    with pytest.raises(FloatingPointError, match="epoch 1"):
        run_scripted(trainer, Training())


# --- interruption ------------------------------------------------------------------------------


def test_interruption_keeps_last_whole_epoch():
    with pytest.warns(UserWarning, match="interrupted after 4 epochs: the last weights"):
        outcome = run_scripted(Scripted([5, 4, 3, 2, 1], interrupt_at=5), Training())
    assert outcome.stopped == "interrupted"
    assert outcome.parameters == [4]
    assert outcome.history.loss == (5, 4, 3, 2)


def test_interruption_keeps_best_weights():
    trainer = Scripted([5, 4, 3, 2, 1], [3, 1, 2, 2, 2], interrupt_at=4)
    with pytest.warns(UserWarning, match="the best weights"):
        outcome = run_scripted(trainer, Training(early_stopping=True), validated=True)
    assert outcome.parameters == [2]
    assert outcome.best_validation_loss == 1


def test_interruption_before_the_first_epoch_ends_is_passed_on():
    with pytest.raises(KeyboardInterrupt):
        run_scripted(Scripted([1], interrupt_at=1), Training())


# --- training itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["cpp", "reference"])
def test_learns(backend):
    X, Y = data(200)
    training = replace(TRAINING, max_iter=80, learning_rate="cosine")
    outcome = train(new_trainer(backend), FixedData(X, Y), training, rng=np.random.default_rng(0))
    assert outcome.history.loss[-1] < 0.05 * outcome.history.loss[0]


def test_fresh_rows_every_epoch():
    class Fresh:
        def __init__(self):
            self.drawn = []

        def epoch(self, rng):
            X = rng.uniform(-1, 1, (len(self.drawn) + 1, 2)).astype(np.float32)
            self.drawn.append(X)
            return X, X[:, :1]

    source = Fresh()
    outcome = train(new_trainer(), source, TRAINING, rng=np.random.default_rng(0))
    assert len(source.drawn) == len(outcome.history.loss) == 12


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_progress_goes_to_standard_error(capsys, verbose):
    X, Y = data(7)
    rng = np.random.default_rng(0)
    train(new_trainer(), FixedData(X, Y), replace(TRAINING, verbose=verbose), rng=rng)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("12/12" in err) == (verbose > 0)
    assert sum(line.startswith("epoch ") and "loss" in line for line in err.splitlines()) == (
        0 if verbose == 0 else 1 + 12 * (verbose - 1)
    )


# --- checkpoints -------------------------------------------------------------------------------


def run_with(source, training, backend="cpp", validation=None, seed=1):
    return train(
        new_trainer(backend),
        source,
        training,
        rng=np.random.default_rng(seed),
        validation=validation,
        network={"layer_sizes": SPEC.layer_sizes},
    )


def assert_same(a, b):
    assert a.parameters.tobytes() == b.parameters.tobytes()
    assert a.history == b.history
    assert (a.best_loss, a.best_validation_loss) == (b.best_loss, b.best_validation_loss)


@pytest.mark.parametrize("backend", ["cpp", "reference"])
@pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine"])
@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("validated", [False, True])
def test_resumes_to_the_same_bits(tmp_path, backend, schedule, every, validated):
    X, Y = data()
    options = {"learning_rate": schedule, "plateau_patience": 1, "tol": 0.01}
    training = replace(TRAINING, early_stopping=validated, **options)
    validation = data(9, "validation") if validated else None
    straight = run_with(FixedData(X, Y), training, backend, validation)
    assert len(straight.history.loss) == 12

    file = tmp_path / "training.safetensors"
    kept = replace(training, checkpoint=file, checkpoint_every=every)
    source = InterruptedSource(X, Y)
    object.__setattr__(source, "at", 5)
    with pytest.warns(UserWarning, match="interrupted after 5 epochs"):
        cut = run_with(source, kept, backend, validation)
    assert cut.history.loss == straight.history.loss[:5]
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    assert_same(run_with(FixedData(X, Y), kept, backend, validation), straight)
    # What has ended does not go on.
    assert_same(run_with(FixedData(X, Y), kept, backend, validation), straight)


def test_checkpoint_can_be_continued_for_longer(tmp_path):
    source = FixedData(*data())
    kept = replace(TRAINING, checkpoint=tmp_path / "c", max_iter=5)
    run_with(source, kept)
    assert_same(run_with(source, replace(kept, max_iter=12)), run_with(source, TRAINING))


@pytest.fixture
def checkpoint(tmp_path):
    file = tmp_path / "c.safetensors"
    run_with(FixedData(*data()), replace(TRAINING, checkpoint=file, max_iter=3))
    return file


def resume(file, X=None, **changes):
    source = FixedData(*data()) if X is None else X
    return run_with(source, replace(TRAINING, checkpoint=file, **changes))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: np.random.default_rng(0).bytes(1000),
        lambda content: pickle.dumps({"parameters": [1.0]}),
        lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
        lambda content: content.replace(b"best_loss", b"best_lass", 1),
    ],
    ids=["empty", "header cut", "cut", "longer", "random", "pickle", "bit", "metadata"],
)
def test_damaged_checkpoint_is_refused(checkpoint, damage):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(damage(content))
    assert checkpoint.read_bytes() != content
    trainer = new_trainer()
    rng = np.random.default_rng(1)
    before = trainer.parameters(), rng.bit_generator.state
    with pytest.raises(ValueError, match="is damaged"):
        train(
            trainer,
            FixedData(*data()),
            replace(TRAINING, checkpoint=checkpoint),
            rng=rng,
            network={"layer_sizes": SPEC.layer_sizes},
        )
    assert (trainer.parameters() == before[0]).all()
    assert rng.bit_generator.state == before[1]


def test_huge_header_is_refused(checkpoint):
    checkpoint.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(ValueError, match="damaged or not"):
        resume(checkpoint)


def test_other_format_is_refused(checkpoint):
    write_tensors(checkpoint, {"a": np.zeros(2)}, {}, format="other", version=1)
    with pytest.raises(ValueError, match=r"not a fastinv-checkpoint file, its format is 'other'"):
        resume(checkpoint)


def test_later_version_is_refused(checkpoint):
    write_tensors(checkpoint, {}, {}, format="fastinv-checkpoint", version=2)
    with pytest.raises(ValueError, match="version 2, this release reads version 1"):
        resume(checkpoint)


def test_tensors_of_other_shapes_are_refused(checkpoint):
    tensors, content = read_tensors(checkpoint, format="fastinv-checkpoint", version=1)
    tensors["trainer.first_moment"] = np.zeros(3, dtype=np.float32)
    write_tensors(checkpoint, tensors, content, format="fastinv-checkpoint", version=1)
    with pytest.raises(ValueError, match="this training needs"):
        resume(checkpoint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 9}, "batch_size=8, now it is 9"),
        ({"learning_rate_init": 0.03}, r"learning_rate_init=0\.02, now it is 0\.03"),
        ({"learning_rate": "cosine"}, "learning_rate='constant', now it is 'cosine'"),
    ],
)
def test_other_options_are_refused(checkpoint, changes, message):
    with pytest.raises(ValueError, match=message):
        resume(checkpoint, **changes)


def test_other_data_are_refused(checkpoint):
    X, Y = data()
    X[4, 1] = np.nextafter(X[4, 1], np.float32(9))
    with pytest.raises(ValueError, match="other training data"):
        resume(checkpoint, FixedData(X, Y))


def test_other_validation_data_are_refused(checkpoint):
    with pytest.raises(ValueError, match="other training data"):
        run_with(FixedData(*data()), replace(TRAINING, checkpoint=checkpoint), validation=data(7))


def test_other_network_and_seed_are_refused(checkpoint):
    training = replace(TRAINING, checkpoint=checkpoint)
    source = FixedData(*data())
    with pytest.raises(ValueError, match="another random_state"):
        run_with(source, training, seed=2)
    with pytest.raises(ValueError, match=r"layer_sizes=\[2, 7, 1\], now it is \[2, 9, 1\]"):
        train(
            new_trainer(),
            source,
            training,
            rng=np.random.default_rng(1),
            network={"layer_sizes": (2, 9, 1)},
        )


def test_missing_directory_is_found_before_training(tmp_path):
    with pytest.raises(FileNotFoundError, match="checkpoint: there is no directory"):
        resume(tmp_path / "nowhere" / "c")


def test_failed_write_keeps_the_old_file(checkpoint, monkeypatch):
    before = checkpoint.read_bytes()

    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.warns(UserWarning, match="interrupted"):
        resume(checkpoint, checkpoint_every=1)
    assert checkpoint.read_bytes() == before
    assert [p.name for p in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_tensor_files_round_trip(tmp_path):
    tensors = {
        "scalar": np.array(7, dtype=np.int64),
        "none": np.zeros((0, 3)),
        "strided": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
    }
    content = {"inf": math.inf, "tenth": 0.1, "big": 2**127 + 1, "text": "ü\n"}
    write_tensors(tmp_path / "t", tensors, content, format="f", version=1)
    found, found_content = read_tensors(tmp_path / "t", format="f", version=1)
    assert found_content == content
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("batch_size", 0, ValueError),
        ("batch_size", 1.5, TypeError),
        ("learning_rate", "adaptive", ValueError),
        ("learning_rate_init", 0.0, ValueError),
        ("learning_rate_init", math.nan, ValueError),
        ("learning_rate_init", "fast", TypeError),
        ("learning_rate_min", -1e-9, ValueError),
        ("learning_rate_min", 1.0, ValueError),
        ("plateau_factor", 1.0, ValueError),
        ("plateau_patience", 0, ValueError),
        ("plateau_tol", -1.0, ValueError),
        ("max_iter", 0, ValueError),
        ("early_stopping", "yes", TypeError),
        ("n_iter_no_change", 0, ValueError),
        ("tol", -1.0, ValueError),
        ("checkpoint", 3, TypeError),
        ("checkpoint_every", 0, ValueError),
        ("verbose", -1, ValueError),
        ("verbose", "loud", TypeError),
    ],
)
def test_bad_options_are_named(name, value, error):
    with pytest.raises(error, match=f"^{name} must"):
        Training(**{name: value})
