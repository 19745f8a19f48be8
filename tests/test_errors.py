"""Faults as people read them."""

import pytest

from keras_retinanet.errors import DataError, Faults, faulty_records_left_out, one_line


def test_a_fault_is_one_line_whatever_names_the_file_holds():
    faults = Faults("boxes.csv")
    faults.add("image \x1b[2J a\nb\udcff.jpg is missing")
    with pytest.raises(DataError) as error:
        faults.raise_if_any()
    assert str(error.value) == "boxes.csv: image \\x1b[2J a\\nb\\udcff.jpg is missing"
    assert one_line("Zürich 猫.jpg") == "Zürich 猫.jpg"


def test_twenty_faults_are_listed_and_the_rest_are_counted():
    faults = Faults("boxes.csv")
    faults.add_rows(range(25), lambda row: f"line {row}")
    with pytest.raises(DataError) as error:
        faults.raise_if_any()
    lines = str(error.value).split("\n  ")
    assert lines[0] == "boxes.csv: 25 faults"
    assert lines[1:] == [*(f"line {row}" for row in range(20)), "and 5 more"]
    with faulty_records_left_out():
        faults = Faults("boxes.csv")
        faults.add_rows(range(25), lambda row: f"line {row}")
    assert len(faults.lines) == 25
