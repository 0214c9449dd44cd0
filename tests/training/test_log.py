import pytest

from mmkeras.errors import MmkerasError
from mmkeras.training.log import read_log


def test_a_missing_log_has_no_rows(tmp_path):
    assert read_log(tmp_path / "log.csv") == []


def test_epochs_are_whole_stages_are_names_and_what_is_empty_is_left_out(tmp_path):
    file = tmp_path / "log.csv"
    file.write_text("epoch,stage,loss,val_rsum\n0,joint,2,\n1,joint,0.5,30\n")
    assert read_log(file) == [
        {"epoch": 0, "stage": "joint", "loss": 2.0},
        {"epoch": 1, "stage": "joint", "loss": 0.5, "val_rsum": 30.0},
    ]


@pytest.mark.parametrize("content", [b"epoch,loss\n0,much\n", b"epoch\n0,1\n", b"epoch\n\xff\n"])
def test_a_damaged_log_is_named(tmp_path, content):
    file = tmp_path / "log.csv"
    file.write_bytes(content)
    with pytest.raises(MmkerasError, match=r"log\.csv is damaged: "):
        read_log(file)
