"""retinanet-check: what is wrong with a data set, before it is trained on."""

from __future__ import annotations

import functools
import pathlib
import shlex

import tqdm

from keras_retinanet.commands import common
from keras_retinanet.config import DataConfig, load_config
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.discovery.whole_folder import with_common_categories
from keras_retinanet.datasets.formats.registry import DataSource
from keras_retinanet.files import write_json
from keras_retinanet.inspection import repair
from keras_retinanet.inspection.anchor_fit import FIXED_ANCHORS
from keras_retinanet.inspection.findings import Finding, read_part
from keras_retinanet.inspection.html_report import write_page
from keras_retinanet.inspection.kinds import Kind
from keras_retinanet.inspection.statistics import Report, make_report, report_lines
from keras_retinanet.training.geometry import geometry
from keras_retinanet.training.parts import has_val, load_part, setting_of, with_layout

USAGE = """Lists every fault of a data set, and says how well the anchors fit its objects.

  retinanet-check FOLDER|ZIP
  retinanet-check --annotations train.json --images images
  retinanet-check --config small --fit_anchors --html report.html data.train.annotations=boxes.csv

Of a folder or a .zip all parts are checked. Other words are settings, the same as for
retinanet-train; the flags that name a data set are its training part, and
data.val.annotations=... is checked with it. Ends with 1 if training would refuse the data;
docs/data_faults.md says what it does about each fault.

  retinanet-check --annotations train.json --images images --fix fixed

writes a copy without the faults: a folder for each part, and the list of all that was fixed."""

FLAGS = common.CommandFlags()
FLAGS.define_data(default=" Default: data.train of the settings.")
FLAGS.define_config()
FLAGS.define_output("json", "File to write the whole report to.")
FLAGS.define_output("html", "Page to write, with plots and examples.")
FLAGS.define_switch("fit_anchors", "Propose anchors that fit the objects better.")
FLAGS.define_output("fix", "Folder for a fixed copy, in COCO's format; images are linked.")


def _main(words: list[str]) -> int:
    config = load_config(FLAGS.config, [*_named(), *common.settings_of(words)])
    shape = geometry(config.model)
    if FLAGS.fix:
        repair.check_absent(pathlib.Path(FLAGS.fix))
    parts, findings = _read(config.data)
    total = sum(map(len, parts.values()))
    with tqdm.tqdm(total=total, unit="image", disable=None) as bar:
        report = make_report(
            parts,
            findings,
            shape.anchors,
            config.data.min_side,
            config.data.max_side,
            stretch=config.data.stretch,
            fit=FLAGS.fit_anchors and not shape.are_anchors_fixed,
            progress=bar.update,
        )
    print("\n".join(report_lines(report)))
    if FLAGS.fit_anchors and shape.are_anchors_fixed:
        print(f"no anchors proposed. {FIXED_ANCHORS}")
    if FLAGS.json:
        write_json(pathlib.Path(FLAGS.json), report.as_dict(), indent=1)
    if FLAGS.html:
        write_page(pathlib.Path(FLAGS.html), report)
    if FLAGS.fix:
        _fix(report, pathlib.Path(FLAGS.fix))
        return 0
    return 1 if report.has_errors else 0


def _fix(report: Report, output: pathlib.Path) -> None:
    words, notes = repair.write_fixed(report.parts, report.findings, output)
    for note in notes:
        print(note)
    count = len(repair.fix_lines(report.findings))
    print(f"fixed {count} records, listed in {output / repair.LISTED}; train on the copy with")
    print(f"  {shlex.join(words)}")


def _named() -> list[str]:
    """What the flags name, as settings."""
    named = vars(FLAGS.data_source() or DataSource()).items()
    default = vars(DataSource())  # a recipe may say more
    return [f"{setting_of('train', k)}={value}" for k, value in named if value != default[k]]


def _read(data: DataConfig) -> tuple[dict[str, DetectionDataset], list[Finding]]:
    """The parts that can be read, without their faulty records, and what is wrong with these.

    Of a whole folder all parts are read, whose classes are those of all.
    """
    layout = (data := with_layout(data)).layout
    if layout is not None:
        print(layout.line)
        names = layout.parts
    else:
        names = ("train", "val") if has_val(data) else ("train",)
    parts: dict[str, DetectionDataset] = {}
    findings: list[Finding] = []
    for which in names:
        known = parts["train"].categories if layout is None and "train" in parts else None
        dataset, found = read_part(which, functools.partial(load_part, data, which, known))
        findings += found
        if dataset is None:
            continue
        if known is not None and dataset.categories != known:
            text = f"{dataset.name} has other categories than {parts['train'].name}"
            if others := sorted({c.name for c in dataset.categories} - {c.name for c in known}):
                text += f", which has no {', '.join(others)}"
            findings.append(Finding(Kind.OTHER_CLASSES, which, text))
        parts[which] = repair.with_sound_classes(dataset, known)
    return (parts if layout is None else with_common_categories(parts)), findings


run = functools.partial(common.run, _main, FLAGS, USAGE, required=())
