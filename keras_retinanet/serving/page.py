"""A page to try models on one's own images, for this machine alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import fastapi
import tensorflow as tf
from nicegui import events, ui
from starlette.types import ASGIApp

from keras_retinanet.errors import DataError
from keras_retinanet.files import package_text
from keras_retinanet.models.inference import Detections
from keras_retinanet.serving.local_server import guard
from keras_retinanet.serving.overlay import ClassColors, boxes_html, css
from keras_retinanet.serving.predictors import Predictor, detect_upload
from keras_retinanet.serving.upload import Upload, read_upload

MAX_FILE_BYTES = 2**26

# Of an upload, beside the file.
_FORM_BYTES = 2**16

# Pixels of the longer side of what is sent to the browser; boxes need none.
_SIDE = 1600

_EDGES = ("left", "top", "right", "bottom")


def page_app(models: Sequence[tuple[str, Predictor]], hosts: Sequence[str]) -> ASGIApp:
    """A page for each tab, to be run by `local_server.run_server`, once in a process.

    Args:
        models: a name and a predictor each, shown side by side.
        hosts: names beside those of this machine under which browsers may come.
    """
    running = asyncio.Lock()  # two networks at once are no faster, and take twice the memory
    server = fastapi.FastAPI(openapi_url=None)
    ui.run_with(
        server,
        root=lambda: _Page(models, running),
        title="Try RetinaNet",
        favicon="🔍",
        dark=None,  # as the system is set
        tailwind=False,
        show_welcome_message=False,
    )
    return guard(server, hosts, MAX_FILE_BYTES + _FORM_BYTES)


class _Page:
    """What one tab shows: controls, a message, and a column for each model."""

    def __init__(self, models: Sequence[tuple[str, Predictor]], running: asyncio.Lock) -> None:
        self._running = running
        self._turn = 0  # uploads so far: what came before the last is not shown any more
        colors = ClassColors([name for _, model in models for _, name in model.categories])
        ui.add_css(package_text(__package__, "page.css"))
        ui.add_head_html(f"<script>{package_text(__package__, 'page.js')}</script>")
        upload = ui.upload(
            auto_upload=True,
            max_file_size=MAX_FILE_BYTES,
            on_upload=self._take,
            on_rejected=lambda: self._fail(
                f"the file is larger than {MAX_FILE_BYTES // 2**20} MB; shrink it"
            ),
        )
        header = package_text(__package__, "page_uploader.html")
        upload.props("flat bordered").add_slot("header", header)
        with ui.row().classes("items-center full-width no-wrap"):
            ui.label("Score at least").classes("text-no-wrap")
            self._slider = ui.slider(
                min=0, max=1, step=0.01, value=0.3, on_change=self._filter
            ).props('aria-label="score threshold"')
            ui.label().classes("threshold").bind_text_from(
                self._slider, "value", lambda value: f"{value:.2f}"
            )
        self._message = ui.label().classes("text-negative text-weight-medium").props("role=alert")
        with ui.row().classes("items-center busy") as self._busy:
            ui.spinner()
            ui.label("looking for objects ...")
        with ui.element("div").classes("models"):
            self._columns = [_Column(name, model, colors) for name, model in models]
        self._busy.visible = self._message.visible = False

    async def _take(self, event: events.UploadEventArguments) -> None:
        event.sender.reset()  # type: ignore[attr-defined]  # an Upload, ready for the next
        self._clear()
        turn = self._turn
        self._busy.visible = True
        try:
            async with self._running:  # one file in memory, however many are sent
                await self._look_at(event.file.name, await event.file.read(), turn)
        except DataError as error:
            if turn == self._turn:
                self._fail(str(error))
        finally:
            if turn == self._turn:
                self._busy.visible = False

    async def _look_at(self, name: str, encoded: bytes, turn: int) -> None:
        """Shows the upload in all columns, one by one, until a newer one comes."""
        upload = await asyncio.to_thread(read_upload, name, encoded)
        preview = await asyncio.to_thread(upload.preview, _SIDE)
        for column in self._columns:
            if turn == self._turn:
                answer = await asyncio.to_thread(column.ask, upload)
            if turn == self._turn:
                column.take(upload, preview, answer)
                column.show(self._slider.value)

    def _clear(self) -> None:
        self._turn += 1
        self._message.visible = self._busy.visible = False
        for column in self._columns:
            column.clear()

    def _fail(self, message: str) -> None:
        self._clear()
        self._message.text, self._message.visible = message, True

    def _filter(self, event: events.ValueChangeEventArguments) -> None:
        for column in self._columns:
            column.show(event.value)


class _Column:
    """A model, the image with its boxes, and its table."""

    def __init__(self, name: str, model: Predictor, colors: ClassColors) -> None:
        self._model, self._colors = model, colors
        self._found: Detections | None = None
        self._size = (1, 1)
        with ui.card().classes("model"):
            ui.label(name).classes("name text-weight-bold")
            self._summary = ui.label("no image yet").classes("summary")
            with ui.element("div").classes("photo") as self._photo:
                self._image = ui.element("img")
                self._boxes = ui.html(sanitize=False)  # boxes_html escapes what is not its own
            self._table = _table()
        self._photo.visible = self._table.visible = False

    def clear(self) -> None:
        self._found = None
        self._photo.visible = self._table.visible = False
        self._summary.text = ""

    def ask(self, upload: Upload) -> Detections | str:
        """What the model finds, or why it does not answer."""
        try:
            return detect_upload(self._model, upload)
        except (ValueError, tf.errors.OpError) as error:  # a server that left, memory that is full
            return f"no answer: {error}"

    def take(self, upload: Upload, preview: str, answer: Detections | str) -> None:
        if isinstance(answer, str):
            self._summary.text = answer
            return
        self._found, self._size = answer, upload.size
        height, width = upload.size
        # As wide as the column, unless it would be higher than the window.
        self._photo.style(
            f"aspect-ratio: {width} / {height}; width: min(100%, 80vh * {width / height})"
        )
        self._image.props.update(src=preview, alt=upload.name)
        self._photo.visible = self._table.visible = True

    def show(self, threshold: float) -> None:
        """Draws what is at least as sure as `threshold`, of what was found before."""
        if self._found is None:
            return
        kept = self._found["scores"] >= threshold
        shown = {name: values[kept] for name, values in self._found.items()}
        names = [name for _, name in self._model.categories]
        self._summary.text = f"{kept.sum()} of {len(kept)} detections"
        self._boxes.content = boxes_html(shown, names, self._size, self._colors)
        self._table.rows = _rows(shown, names, self._colors)


def _table() -> ui.table:
    table = ui.table(
        columns=[
            {"name": f, "label": f, "field": f, "align": "left" if f == "class" else "right"}
            for f in ("class", "score", *_EDGES)
        ],
        rows=[],
        row_key="rank",
        pagination=10,
    )
    table.props('flat dense no-data-label="nothing at this score"').classes("full-width")
    table.add_slot("body-cell-class", package_text(__package__, "page_class_cell.html"))
    return table


def _rows(found: Detections, names: Sequence[str], colors: ClassColors) -> list[dict[str, Any]]:
    boxes = found["boxes"].round().astype(int).tolist()
    rows = zip(boxes, found["scores"], found["labels"], strict=True)
    return [
        {
            "rank": rank,
            "class": names[label],
            "color": css(colors(names[label])),
            "score": f"{score:.2f}",
            **dict(zip(_EDGES, box, strict=True)),
        }
        for rank, (box, score, label) in enumerate(rows)
    ]
