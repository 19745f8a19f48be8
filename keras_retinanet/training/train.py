"""A run from its config to its folder."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import shlex
import sys
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_retinanet.config import Config, load_config
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.split import image_names
from keras_retinanet.evaluation.coco_metrics import CocoMetrics
from keras_retinanet.evaluation.evaluate import check_categories
from keras_retinanet.images.drawing import draw_comparison
from keras_retinanet.images.faults import undecodable_named, unreadable
from keras_retinanet.inspection.anchor_fit import anchor_fit_line, trained_objects
from keras_retinanet.models.retinanet import RetinaNet
from keras_retinanet.models.saving import averaged_weights, own_weights_kept
from keras_retinanet.models.trainable import LOGS
from keras_retinanet.pipeline.batches import image_loader, image_stream, training_batches
from keras_retinanet.training import build, callbacks
from keras_retinanet.training.changes import check_changes, in_new_batches
from keras_retinanet.training.geometry import geometry
from keras_retinanet.training.interruption import Interruption
from keras_retinanet.training.learning_rate import learning_rate
from keras_retinanet.training.progress import Progress
from keras_retinanet.training.run_folder import RunFolder, RunState
from keras_retinanet.training.train_val import load_datasets, part_root

Say = Callable[[str], None]

# How many validation images are drawn into predictions/, and the lowest score that is shown.
DRAWN_IMAGES = 12
DRAWN_SCORE = 0.3


class Interrupted(Exception):
    """Ctrl-C during training; the message is the command that resumes."""


def train(config: Config, output_dir: str, *, say: Say = print) -> CocoMetrics:
    """Trains as `config` says into a new folder; see design of the run folder in the README.

    Returns:
        The metrics of the final model on the validation part.

    Raises:
        ConfigError, DataError, RunFolderError, ValueError: before anything is written.
        TrainingError: if training breaks down; Interrupted: on Ctrl-C, once all is saved.
    """
    folder = RunFolder(pathlib.Path(output_dir))
    folder.check_free()
    return _run(_resolve(config), folder, RunState(), say=say)


def resume(output_dir: str, overrides: list[str], *, say: Say = print) -> CocoMetrics | None:
    """Continues the run in a folder: epoch, step, optimizer, schedule, best AP, time used.

    Args:
        output_dir: the folder; it must hold a run.
        overrides: settings to change, such as a longer `train.epochs`.

    Returns:
        As `train`; None if the run was finished and no setting changed.
    """
    folder = RunFolder(pathlib.Path(output_dir))
    state = folder.load_state()
    assert state is not None, "check load_state first"
    before = load_config(str(folder.config))
    config = _resolve(load_config(str(folder.config), overrides))
    if state.weights:
        check_changes(config, before, str(folder.root))
        config = in_new_batches(config, before, overrides)
        if (size := config.train.batch_size) != before.train.batch_size:
            say(f"from now on batches of {size} images; the run and its schedule count images")
    if state.finished and config == before:
        done = f"{state.step} steps, best AP {state.best_ap:.3f}"
        say(f"the run in {folder.root} is finished: {done}")
        return None
    state.finished = False
    say(f"resuming {folder.root} at epoch {state.epoch + 1}, step {state.step}")
    return _run(config, folder, state, say=say)


def _run(config: Config, folder: RunFolder, state: RunState, *, say: Say) -> CocoMetrics:
    strategy, devices = build.choose_strategy()
    say(f"devices: {', '.join(devices)}; precision {config.train.precision}")
    replicas, batch = strategy.num_replicas_in_sync, config.train.batch_size
    if batch % replicas:
        raise ValueError(
            f"train.batch_size={batch} cannot be shared evenly by {replicas} devices; "
            f"set it to a multiple of {replicas}"
        )
    keras.utils.set_random_seed(config.train.seed)
    train_part, val_part = _images(config, folder, state, say)
    with strategy.scope():
        model = _model(config, state, train_part, say)
        build.compile_model(model, config)
    config = _with_anchor_fit_said(config, state, model, train_part, say)
    # A broken validation image would end the run at its first evaluation, perhaps hours later.
    if (broken := unreadable(val_part.files, val_part.encoded)) is not None:
        raise broken
    progress = state.progress(config.train, len(train_part))
    with undecodable_named(train_part.files, train_part.encoded):
        batches = _batches(config, strategy, train_part, model.padding_color, progress)
    if state.weights:
        folder.restore(model, state)
        folder.write_config(config)  # with what was overridden
    else:
        folder.create(config, devices)
        folder.write_split(
            image_names(train_part, part_root(config.data, "train")),
            image_names(val_part, part_root(config.data, "val")),
        )
    schedule = callbacks.EvaluationSchedule(progress, state, config.train.evaluations)
    evaluation = callbacks.CocoEvaluation(val_part, due=schedule.due)
    recorder = callbacks.RunRecorder(folder, progress, state, evaluation)
    recorder.set_model(model)
    with undecodable_named(train_part.files, train_part.encoded):
        _fit(model, config, recorder, batches)
    state.finished = True
    recorder.save()
    with averaged_weights(model):
        _draw_predictions(model, val_part, folder.predictions)
    metrics = evaluation.metrics or evaluation.score()
    say(metrics.summary)
    for line in _explained(metrics, progress):
        say(line)
    say(f"best AP {state.best_ap:.3f}; models, metrics and drawn predictions are in {folder.root}")
    return metrics


def _images(
    config: Config, folder: RunFolder, state: RunState, say: Say
) -> tuple[DetectionDataset, DetectionDataset]:
    """The training and the validation part; a run that goes on keeps its images."""
    split = folder.own_split() if state.weights else None
    train_part, val_part, notes = load_datasets(config.data, split)
    for note in notes:
        say(note)
    say(
        f"{len(train_part)} training and {len(val_part)} validation images, "
        f"{len(train_part.categories)} classes"
    )
    return train_part, val_part


def _with_anchor_fit_said(
    config: Config, state: RunState, model: RetinaNet, train_part: DetectionDataset, say: Say
) -> Config:
    """`config` with what the model has, see `resolve_model`; says how the anchors fit."""
    are_fixed = not state.weights and geometry(config.model).are_anchors_fixed
    config = build.resolve_model(config, model)
    data = config.data
    objects = trained_objects(train_part, data.min_side, data.max_side, stretch=data.stretch)
    say(anchor_fit_line(objects, model.settings["anchors"], are_fixed=are_fixed))
    return config


def _batches(
    config: Config,
    strategy: tf.distribute.Strategy,
    train_part: DetectionDataset,
    padding_color: Sequence[float],
    progress: Progress,
) -> tf.data.Dataset:
    """Batches of which each iterator starts where the run is."""
    return strategy.distribute_datasets_from_function(
        lambda context: training_batches(
            train_part,
            config.data,
            batch_size=config.train.batch_size,
            padding_color=padding_color,
            seed=config.train.seed,
            position=lambda: progress.position,
            cache_mib=config.data.cache_mib,
            input_context=context,
        )
    )


def _resolve(config: Config) -> Config:
    precision = build.resolve_precision(config.train.precision)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, precision=precision))


def _model(config: Config, state: RunState, dataset: DetectionDataset, say: Say) -> RetinaNet:
    """A new run's from its recipe; that of a run which goes on as it was backed up."""
    if not state.weights:
        for line in build.start_warnings(config):
            say(line)
        return build.build_model(config, dataset)
    model = build.rebuild_model(config, state.model)
    check_categories(model, dataset)
    return model


def _explained(metrics: CocoMetrics, progress: Progress) -> list[str]:
    """What an AP of 0 means, which looks like a fault to whoever trains for the first time."""
    if metrics.AP > 0.0005:  # what is printed as 0.000
        return []
    if metrics.AP < 0.0:
        return ["AP is -1: the validation images hold no object, so there is nothing to score"]
    return [
        f"AP is 0: no object of the validation images was found yet, as is usual after "
        f"{progress.step} steps on {progress.train_images} images; a network learns to find "
        "objects in hundreds of steps with pretrained weights and in thousands without: train "
        "longer, with more images, or from a detector (model.weights=coco_v2)"
    ]


def _fit(
    model: RetinaNet, config: Config, recorder: callbacks.RunRecorder, batches: tf.data.Dataset
) -> None:
    train, progress = config.train, recorder.progress
    interruption, logs = Interruption(), recorder.folder.tensorboard
    around_steps = [
        callbacks.Pace(progress, functools.partial(learning_rate, train), interruption),
        recorder,
        callbacks.ProgressPrinter(progress),
        keras.callbacks.TensorBoard(logs, write_graph=False, update_freq="epoch"),
    ]
    _end_epoch(recorder)
    try:
        with interruption, own_weights_kept(model):
            # The rest of an epoch that a resumed run is in, then all others. The clock or the
            # number of images ends the run, see `Pace`; never the number of epochs.
            while progress.fraction < 1.0:
                epoch, is_begun = progress.position.epoch, bool(progress.position.shown)
                model.fit(
                    batches,
                    initial_epoch=epoch,
                    epochs=epoch + 1 if is_begun else sys.maxsize,
                    steps_per_epoch=progress.steps_left_in_epoch,
                    callbacks=around_steps,
                    verbose=0,
                    shuffle=False,
                )
                interruption.check()
    except KeyboardInterrupt:
        recorder.save()
        words = ("retinanet-train", "--output_dir", str(recorder.folder.root), "--resume")
        raise Interrupted(shlex.join(words)) from None


def _end_epoch(recorder: callbacks.RunRecorder) -> None:
    """Brings metrics.csv in line with the backup that a run goes on from.

    Rows of what will be trained again go. A run that was killed after the last step of an epoch,
    or of all, has it scored and written down now; its losses are not known any more.
    """
    progress, folder = recorder.progress, recorder.folder
    epoch = progress.position.epoch
    if progress.fraction < 1.0:
        folder.drop_rows_after(epoch)
    if progress.lacks_epoch_end and folder.last_row() <= epoch:
        recorder.end_epoch(epoch, dict.fromkeys((*LOGS, *recorder.PACE_LOGS), math.nan))


def _draw_predictions(model: RetinaNet, dataset: DetectionDataset, output: pathlib.Path) -> None:
    """Draws the first validation images, annotated and detected side by side."""
    shown = dataset.take(np.arange(min(DRAWN_IMAGES, len(dataset))))
    load = image_loader(shown)
    output.mkdir(exist_ok=True)
    for index, found in model.detector.detect_dataset(image_stream(shown)):
        rows = shown.rows(index)
        true = shown.labels[rows] >= 0
        sure = found["scores"] >= DRAWN_SCORE
        drawn = draw_comparison(
            load(tf.constant(index)).numpy(),
            true_boxes=shown.boxes[rows][true],
            true_labels=shown.labels[rows][true],
            names=[category.name for category in shown.categories],
            **{name: values[sure] for name, values in found.items()},
        )
        Image.fromarray(drawn).save(output / f"{index:02d}.png")
