"""What happens around the steps of `fit`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import keras

from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.evaluation.coco_metrics import METRIC_NAMES, CocoMetrics
from keras_retinanet.evaluation.evaluate import detect_all
from keras_retinanet.models.saving import averaged_weights, put_averages, save_model
from keras_retinanet.progress import progress
from keras_retinanet.training.interruption import Interruption
from keras_retinanet.training.progress import Progress
from keras_retinanet.training.run_folder import RunFolder, RunState

Logs = dict[str, Any]


class TrainingError(RuntimeError):
    """Training cannot go on."""


class CocoEvaluation(keras.callbacks.Callback):
    """Scores the model on a data set after an epoch, with the averaged weights where there are any.

    Adds the 12 COCO numbers to the logs as "val_AP", "val_AP50", "val_AP75", "val_APs" and so on
    (NaN after epochs that are not scored), so callbacks that come after this one can go by them:

        kr.callbacks.CocoEvaluation(val),
        keras.callbacks.ModelCheckpoint(
            "best.keras", monitor="val_AP", mode="max", save_best_only=True
        ),
        keras.callbacks.EarlyStopping(monitor="val_AP", mode="max", patience=5),

    An optimizer with `use_ema=True` has the averages put into the model when it is scored, and the
    weights put back when the next epoch begins: what those callbacks save is what was scored.

    Args:
        dataset: images and ground truth, such as `read_coco` gives.
        due: given the number of the epoch (from 0), whether to score it; by default each.

    Attributes:
        metrics: the last `CocoMetrics`, or None.
    """

    def __init__(
        self, dataset: DetectionDataset, due: Callable[[int], bool] = lambda epoch: True
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.due = due
        self.metrics: CocoMetrics | None = None
        self._put_back: Callable[[], None] = lambda: None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Puts back the weights that the averages stood in for."""
        self._put_back()
        self._put_back = lambda: None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Scores the epoch if that is due, and leaves what was scored in the model."""
        if self.evaluate(epoch, {} if logs is None else logs):
            self._put_back = put_averages(self.model)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Forgets the weights: `fit` leaves the averages in the model."""
        self._put_back = lambda: None

    def evaluate(self, epoch: int, logs: Logs) -> bool:
        """Scores the model if that is due, and tells whether; adds the numbers to `logs`."""
        is_due = self.due(epoch)
        if is_due:
            self.metrics = self.score()
        numbers = self.metrics.numbers if is_due and self.metrics else {}
        logs.update({f"val_{name}": numbers.get(name, math.nan) for name in METRIC_NAMES})
        return is_due

    def score(self) -> CocoMetrics:
        """The metrics of the model as it is now; a progress bar on a terminal if it takes long."""
        with averaged_weights(self.model):
            evaluator, run = detect_all(self.model, self.dataset)
            for _ in progress(run, len(self.dataset), "scoring"):
                pass
        return evaluator.compute()


class Pace(keras.callbacks.Callback):
    """Sets the learning rate of each step, counts the steps, and ends the run in time.

    Raises TrainingError as soon as the loss is no number, and KeyboardInterrupt between steps.

    Args:
        progress: the run's clock.
        learning_rate: given the images seen in batches and the fraction of the run, the rate.
        interruption: whether to end before.
    """

    def __init__(
        self,
        progress: Progress,
        learning_rate: Callable[[float, float], float],
        interruption: Interruption,
    ) -> None:
        super().__init__()
        self.progress = progress
        self.learning_rate = learning_rate
        self.interruption = interruption

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Sets the learning rate of the step that begins, unless the run is interrupted."""
        self.interruption.check()
        self.progress.start()
        progress = self.progress
        rate = self.learning_rate(progress.images / progress.batch_size, progress.fraction)
        self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Counts the step; ends the run where its length is reached or its loss is no number."""
        self.progress.advance()
        if logs and not math.isfinite(logs["loss"]):
            raise TrainingError(
                f"the loss is {logs['loss']} at step {self.progress.step}; lower "
                "train.learning_rate, or set train.clip_norm"
            )
        if self.progress.fraction >= 1.0:
            self.model.stop_training = True


class EvaluationSchedule:
    """When to score a run, so that scoring never eats the time it is meant to judge.

    After every epoch of a run measured in epochs. Otherwise at most `most` times, evenly spread,
    and under a time budget never for more than a twentieth of it. The end of a run is always
    scored; the clock has stopped then.
    """

    TIME_FRACTION = 0.05

    def __init__(self, progress: Progress, state: RunState, most: int) -> None:
        self.progress = progress
        self.state = state
        self.most = most

    def due(self, epoch: int) -> bool:
        """Whether to score now, after `epoch`."""
        fraction = self.progress.fraction
        if fraction >= 1.0 or self.progress.epochs is not None:
            return True
        done = self.state.evaluations
        if done + 1 >= self.most or fraction < (done + 1) / self.most:
            return False
        if self.progress.minutes is None or done == 0:
            return True
        next_total = self.state.evaluation_seconds * (done + 1) / done
        return next_total <= self.TIME_FRACTION * 60.0 * self.progress.minutes


class RunRecorder(keras.callbacks.Callback):
    """Keeps the run folder: metrics.csv, best.keras, last.keras and the backup to resume from.

    The first callback of a run after `Pace`, so that its clock covers the steps only;
    `CocoEvaluation` is called from here.

    Args:
        folder: where to write.
        progress: the run's clock.
        state: what the run goes on from; kept up to date.
        evaluation: scores an epoch that is due.
    """

    BACKUP_SECONDS = 60.0  # between backups at the ends of short epochs
    LONGEST_SECONDS = 600.0  # between backups within a long one
    PACE_LOGS = ("learning_rate", "images_per_second")  # what is added to the logs of an epoch

    def __init__(
        self, folder: RunFolder, progress: Progress, state: RunState, evaluation: CocoEvaluation
    ) -> None:
        super().__init__()
        self.folder = folder
        self.progress = progress
        self.state = state
        self.evaluation = evaluation
        self._saved = -math.inf  # so that the first epoch is backed up

    def set_model(self, model: keras.Model) -> None:
        """Hands the model to the evaluation, too."""
        super().set_model(model)
        self.evaluation.set_model(model)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Notes when the epoch began, and at which image."""
        self._epoch_start = time.monotonic()
        self._first_image = self.progress.images

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Backs up within a long epoch."""
        if time.monotonic() - max(self._saved, self._epoch_start) > self.LONGEST_SECONDS:
            self.save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Adds learning rate and speed to the logs, then see `end_epoch`."""
        logs = {} if logs is None else logs
        seconds = time.monotonic() - self._epoch_start
        rate = float(self.model.optimizer.learning_rate.numpy())
        images = self.progress.images - self._first_image
        logs.update(zip(self.PACE_LOGS, (rate, images / max(seconds, 1e-9)), strict=True))
        self.end_epoch(epoch, logs)

    def end_epoch(self, epoch: int, logs: Logs) -> None:
        """Scores the epoch if that is due, writes its row, and saves; best.keras if it is best."""
        before = time.monotonic()
        scored = self.evaluation.evaluate(epoch, logs)
        if scored:
            self.state.evaluations += 1
            self.state.evaluation_seconds += time.monotonic() - before
        self.folder.add_row({"epoch": epoch + 1, "step": self.progress.step, **logs})
        self.progress.end_epoch()
        if scored and (logs["val_AP"] > self.state.best_ap or not self.folder.best.exists()):
            self.state.best_ap = logs["val_AP"]
            save_model(self.model, self.folder.best)
        if scored or time.monotonic() - self._saved > self.BACKUP_SECONDS:
            self.save()

    def save(self) -> None:
        """Writes last.keras and the backup."""
        self.state.note(self.progress)
        save_model(self.model, self.folder.last)
        self.folder.save_state(self.model, self.state)
        self._saved = time.monotonic()


class ProgressPrinter(keras.callbacks.Callback):
    """A progress bar for each epoch, or a line where the output is no terminal.

    Args:
        progress: the run's clock.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress
        self._terminal = sys.stdout.isatty()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begins the bar of an epoch."""
        as_they_are = ["loss", "class_loss", "box_loss", "positives_per_image"]
        self._bar = keras.utils.Progbar(self.params["steps"], stateful_metrics=as_they_are)
        if self._terminal:
            print(f"Epoch {epoch + 1} ({self._done()})")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar, on a terminal."""
        if self._terminal:
            self._bar.update(batch + 1, list((logs or {}).items()))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Prints the numbers of the epoch in a line."""
        shown = {k: v for k, v in (logs or {}).items() if math.isfinite(v)}
        line = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        start = "\nepoch" if self._terminal else "epoch"  # below the bar
        print(f"{start} {epoch + 1}, {self._done()}: {line}", flush=True)

    def _done(self) -> str:
        progress = self.progress
        if progress.total_steps is not None:
            return f"step {progress.step} of {progress.total_steps}"
        return f"{progress.elapsed / 60:.1f} of {progress.minutes:g} minutes"
