"""Work done by Apache Beam, on any of its runners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class BeamError(RuntimeError):
    """A pipeline that failed."""


def map_on_beam(
    function: Callable[[Any], None], items: Sequence[Any], options: Sequence[str]
) -> None:
    """Calls a function with each of some items, on the workers of a pipeline.

    An item may be done twice: what the function writes must be written atomically.

    Args:
        function: one that workers can unpickle, which need this package installed.
        items: what can be pickled.
        options: of the pipeline, such as ["--runner=FlinkRunner", "--flink_master=host:8081"].

    Raises:
        ImportError: if Beam is missing.
        BeamError: if the pipeline fails, with the reason in one line.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ImportError(
            "Apache Beam is missing: pip install '.[beam]' in an environment of its own (it needs "
            "an older protobuf than requirements.txt names)"
        ) from error
    pipeline = apache_beam.Pipeline(options=PipelineOptions(list(options)))
    # Without the shuffle a runner would do all items where they are created, one after the other.
    _ = pipeline | apache_beam.Create(items) | apache_beam.Reshuffle() | apache_beam.Map(function)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:  # each runner raises its own, the workers' traceback in it
        lines = [line.strip() for line in str(error).splitlines()]
        reasons = [line for line in lines if line and not line.startswith("File ")]
        reason = reasons[-1] if reasons else type(error).__name__
        raise BeamError(f"the pipeline failed: {reason}") from error
