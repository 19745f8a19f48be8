"""The library logs, commands print."""

import logging
import sys

import pytest

from keras_retinanet.commands import common


def test_what_the_library_logs_is_part_of_a_commands_output(monkeypatch, capsys):
    log = logging.getLogger("keras_retinanet")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(sys, "argv", ["retinanet-any"])

    def main(words):
        logging.getLogger("keras_retinanet.models.pretrained").info("weights %s: kept all", "x")
        return 0

    with pytest.raises(SystemExit) as end:
        common.run(main, common.CommandFlags(), "usage", ())
    assert end.value.code == 0
    assert capsys.readouterr().out == "weights x: kept all\n"
