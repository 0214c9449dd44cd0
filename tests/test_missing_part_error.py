"""What is not installed is told with the command that installs it, by whichever distribution is there."""

import pickle

import pytest

from mmkeras.cli import COMMANDS, main
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError


@pytest.fixture
def only_client(monkeypatch):
    monkeypatch.setattr("mmkeras.missing_part_error._only_client", lambda: True)


def test_the_whole_package_names_itself():
    assert str(MissingPartError("A needs B")) == "A needs B: pip install mmkeras"
    assert str(MissingPartError("A needs B", "rest")) == "A needs B: pip install 'mmkeras[rest]'"


def test_the_client_names_itself_unless_only_the_whole_will_do(only_client):
    assert str(MissingPartError("A needs B")) == "A needs B: pip install mmkeras-client"
    assert str(MissingPartError("A needs B", "on-device")) == "A needs B: pip install 'mmkeras-client[on-device]'"
    assert str(MissingPartError("A needs B", whole=True)) == "A needs B: pip install mmkeras"


def test_it_is_both_errors_and_survives_pickling():
    error = MissingPartError("A needs B", "on-device")
    assert isinstance(error, ImportError) and isinstance(error, MmkerasError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_wrong_name_of_ours_is_a_mistake_and_no_missing_part():
    assert MissingPartError.of(ModuleNotFoundError("", name="mmkeras.trainning")) is None


def test_a_missing_library_is_one_line_of_a_command(monkeypatch, capsys):
    def fail(options):
        raise ModuleNotFoundError("No module named 'rich'", name="rich")

    monkeypatch.setitem(COMMANDS, "recipes", fail)
    assert main(["recipes"]) == 2
    assert capsys.readouterr().err == "mmkeras: error: The module rich is not installed: pip install mmkeras\n"


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def fail(options):
        raise ModuleNotFoundError("No module named 'mmkeras.trainning'", name="mmkeras.trainning")

    monkeypatch.setitem(COMMANDS, "recipes", fail)
    with pytest.raises(ModuleNotFoundError):
        main(["recipes"])
