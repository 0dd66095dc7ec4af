"""One training loop for every network: batches, schedule, early stopping, checkpoints, progress."""

from fastinv.training.loop import (
    AfterEpoch,
    EpochSource,
    FixedData,
    History,
    Outcome,
    Rows,
    train,
)
from fastinv.training.options import SCHEDULES, Schedule, Training

__all__ = [
    "SCHEDULES",
    "AfterEpoch",
    "EpochSource",
    "FixedData",
    "History",
    "Outcome",
    "Rows",
    "Schedule",
    "Training",
    "train",
]
