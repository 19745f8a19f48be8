import csv
import dataclasses
import math
import time

import keras
import numpy as np
import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.models.saving import averaged_weights, own_weights_kept
from keras_retinanet.pipeline.epochs import Position
from keras_retinanet.training.callbacks import EvaluationSchedule, Pace, TrainingError
from keras_retinanet.training.interruption import Interruption
from keras_retinanet.training.learning_rate import learning_rate_factor
from keras_retinanet.training.progress import Progress
from keras_retinanet.training.run_folder import RunState


def factor(step, fraction, schedule="step", warmup=500):
    train = TrainConfig(schedule=schedule, warmup_steps=warmup, milestones=[60 / 90, 80 / 90])
    return learning_rate_factor(train, step, fraction)


def test_the_papers_schedule():
    assert factor(0, 0.0) == pytest.approx(1 / 500)
    assert factor(249, 249 / 90_000) == pytest.approx(0.5)
    assert factor(499, 499 / 90_000) == 1.0
    assert factor(59_999, 59_999 / 90_000) == 1.0
    assert factor(60_000, 60_000 / 90_000) == pytest.approx(0.1)
    assert factor(80_000, 80_000 / 90_000) == pytest.approx(0.01)


def test_cosine_falls_to_nothing():
    assert factor(10**6, 0.5, "cosine") == pytest.approx(0.5)
    assert factor(10**6, 0.25, "cosine") == pytest.approx(0.5 + math.sqrt(2) / 4)
    assert factor(10**6, 1.0, "cosine") == pytest.approx(0.0)


def test_warm_up_is_cut_short_in_a_short_run():
    # 100 steps in all: the rise ends after 10, not 500
    assert factor(5, 0.05) == pytest.approx(0.5)
    assert factor(10, 0.10) == 1.0


def advance(progress, steps):
    for _ in range(steps):
        progress.advance()
        progress.end_epoch()


def test_a_run_of_steps_counts_images():
    progress = Progress(100, 4, steps=200, step=150, images=600, seconds=60.0)
    assert progress.fraction == 0.75
    # the same run in batches of 8, where it has 100 steps, and where it had 3 more steps of 4
    progress = Progress(100, 8, steps=100, step=153, images=612)
    assert progress.fraction == 0.765
    assert progress.total_steps == 153 + 24  # 188 images are left
    advance(progress, 24)
    assert progress.fraction == 1.0


def test_a_run_of_epochs_ends_with_its_last_epoch_whatever_the_batches():
    progress = Progress(21, 4, epochs=3)
    assert progress.total_steps == 15
    advance(progress, 5)
    assert (progress.position, progress.fraction) == (Position(1), 1 / 3)
    advance(progress, 2)
    assert progress.fraction == pytest.approx((1 + 2 / 5) / 3)
    progress = dataclasses.replace(progress, batch_size=6)  # 13 images are left: two batches
    assert progress.fraction == pytest.approx((1 + 8 / 20) / 3)
    assert progress.total_steps == 7 + 2 + 3
    advance(progress, 2)
    assert (progress.position, progress.fraction) == (Position(2), 2 / 3)
    advance(progress, 3)
    assert (progress.fraction, progress.step, progress.images) == (1.0, 12, 28 + 30)


def test_the_end_of_an_epoch_is_lacking_until_it_is_written_down():
    progress = Progress(8, 4, epochs=2)
    progress.advance()
    assert not progress.lacks_epoch_end
    progress.advance()
    assert progress.lacks_epoch_end
    progress.end_epoch()
    assert not progress.lacks_epoch_end
    within = Progress(8, 2, steps=2)
    advance(within, 2)
    assert within.lacks_epoch_end  # the run is over, the epoch is not, and may go on
    assert within.position == Position(0, ((2, 2),))


def test_the_clock_starts_with_the_first_step_and_counts_earlier_time(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Progress(8, 2, minutes=2.0, seconds=30.0)
    now[0] += 500  # building the model
    assert progress.fraction == 0.25
    progress.start()
    now[0] += 60
    progress.start()
    assert progress.fraction == 0.75
    now[0] += 60
    assert progress.fraction == 1.0


class FakeOptimizer:
    learning_rate = None


class FakeModel:
    optimizer = FakeOptimizer()
    stop_training = False


def test_pace_sets_each_rate_and_stops_in_time():
    progress = Progress(8, 2, steps=4)
    pace = Pace(progress, lambda step, fraction: step + fraction, Interruption())
    pace.set_model(FakeModel())
    rates = []
    for batch in range(4):
        assert not pace.model.stop_training
        pace.on_train_batch_begin(batch)
        rates.append(pace.model.optimizer.learning_rate)
        pace.on_train_batch_end(batch, {"loss": 1.0})
    assert rates == [0, 1.25, 2.5, 3.75]
    assert pace.model.stop_training


def test_a_loss_that_is_no_number_ends_the_run_with_a_remedy():
    pace = Pace(Progress(8, 2, steps=4), lambda step, fraction: 0.1, Interruption())
    pace.set_model(FakeModel())
    with pytest.raises(TrainingError, match="the loss is nan at step 1; lower"):
        pace.on_train_batch_end(0, {"loss": math.nan})


def due_epochs(progress, schedule, state, seconds_each, epochs):
    """Which of `epochs`, equally long, are scored."""
    due = []
    for epoch in range(epochs):
        progress.seconds = 60.0 * progress.minutes * (epoch + 1) / epochs if progress.minutes else 0
        if progress.steps:
            progress.images = progress.steps * (epoch + 1) // epochs
        if schedule.due(epoch):
            due.append(epoch + 1)
            state.evaluations += 1
            state.evaluation_seconds += seconds_each
    return due


def test_every_epoch_is_scored_in_a_run_of_epochs():
    state = RunState()
    progress = Progress(8, 1, epochs=5)
    schedule = EvaluationSchedule(progress, state, most=2)
    assert due_epochs(progress, schedule, state, 1, 5) == [1, 2, 3, 4, 5]


def test_scores_are_spread_evenly_over_a_budget_and_the_end_is_always_scored():
    state = RunState()
    progress = Progress(8, 2, minutes=10.0)
    schedule = EvaluationSchedule(progress, state, most=5)
    assert due_epochs(progress, schedule, state, 1, 100) == [20, 40, 60, 80, 100]


def test_slow_scoring_does_not_eat_the_budget():
    state = RunState()
    progress = Progress(8, 2, minutes=10.0)
    schedule = EvaluationSchedule(progress, state, most=10)
    # a twentieth of 10 minutes is 30 seconds: two of 12, and the end
    assert due_epochs(progress, schedule, state, 12, 100) == [10, 20, 100]


def test_averaged_weights_are_there_for_a_while():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    model.optimizer = optimizer
    model.layers[0].kernel.assign([[4.0]])
    optimizer.build(model.trainable_variables)
    for gradient in (1.0, 1.0):
        optimizer.apply([np.array([[gradient]], np.float32)])
    # weights 3, then 2; the average starts at 3 and becomes 2.5
    with averaged_weights(model):
        assert model.layers[0].kernel.numpy() == [[2.5]]
    assert model.layers[0].kernel.numpy() == [[2.0]]
    with own_weights_kept(model):
        optimizer.finalize_variable_values(model.trainable_weights)
    assert model.layers[0].kernel.numpy() == [[2.0]]
    optimizer.finalize_variable_values(model.trainable_weights)
    assert model.layers[0].kernel.numpy() == [[2.5]]


def test_metrics_file_is_one_table(tmp_path):
    from keras_retinanet.training.run_folder import RunFolder

    folder = RunFolder(tmp_path)
    folder.add_row({"epoch": 1, "loss": 0.5})
    folder.add_row({"epoch": 2, "loss": 1 / 3})
    with folder.metrics.open() as file:
        assert list(csv.reader(file)) == [["epoch", "loss"], ["1", "0.5"], ["2", "0.333333"]]
    assert folder.last_row() == 2
    folder.add_row({"loss": 0.25, "other": 1.0, "epoch": 3})  # by the names of the first line
    folder.add_row({"epoch": 4})
    assert folder.metrics.read_text().endswith("\n3,0.25\n4,nan\n")
