"""200 damaged files of each format; `python -m tests.data_room.fuzz` tries more."""

import pytest

from keras_retinanet.data.convert import WRITERS
from keras_retinanet.data.formats import read_dataset
from tests.data_room.fuzz import Fuzz, check


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_are_faults_or_data_sets(name, tmp_path):
    fuzz = Fuzz(name, tmp_path)
    outcomes = [fuzz.outcome(seed) for seed in range(200)]
    assert 5 < outcomes.count("read") < 195
    check(read_dataset(fuzz.source))
