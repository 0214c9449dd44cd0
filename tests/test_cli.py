"""The command line: help, exit codes, and mistakes told in one line."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from mmkeras.cli import main
from mmkeras.serving.server.request_limits import MAX_ROWS, MAX_TEXT_BYTES
from mmkeras.training import Run

from .run_folders import METRICS, write_run

COMMANDS = ("recipes", "train", "data", "evaluate", "compare", "export", "tflite", "parity", "serve", "query")


def refused(capsys, *arguments, code=2):
    """Run a command that must fail, and return its one line."""
    assert main([str(argument) for argument in arguments]) == code
    err = capsys.readouterr().err
    assert err.startswith("mmkeras: error: ") and err.count("\n") == 1, err
    return err.removeprefix("mmkeras: error: ").rstrip("\n")


@pytest.fixture
def workplace(tmp_path, monkeypatch, tiny_version):
    """A folder with `savedmodels/tiny` in it, in which the test runs."""
    (tmp_path / "savedmodels").mkdir()
    (tmp_path / "savedmodels" / "tiny").symlink_to(tiny_version.parent)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- Help ---


def test_help_shows_every_command_and_examples(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(rf"^ +{command} +\w", out, re.MULTILINE), command
        assert f"mmkeras {command}" in out.partition("examples:")[2], command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: mmkeras {command}" in capsys.readouterr().out


def test_without_a_command_help_is_shown_and_the_code_is_2(capsys):
    assert main([]) == 2
    assert "usage: mmkeras" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["fly"], ["train", "glyphs_tiny", "--fast"], ["query", "a", "b=c"], ["export", "run"], ["query"]]
)
def test_arguments_that_are_not_there_end_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "mmkeras" in capsys.readouterr().err


def test_help_version_and_recipes_do_not_load_tensorflow():
    code = "import sys; from mmkeras.cli import main; main(['recipes']); print('tensorflow' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert "glyphs_tiny" in done.stdout and "glyphs_dual_encoder" in done.stdout
    assert done.stdout.rstrip().endswith("False")


# --- compare ---


def test_compare_prints_a_table_and_writes_a_page_without_tensorflow(tmp_path):
    runs = [write_run(tmp_path / name, f"epochs={n + 2}") for n, name in enumerate(("first", "second[b]"))]
    page = tmp_path / "page.html"
    arguments = ["compare", *map(str, runs), "--html", str(page)]
    code = f"import sys; from mmkeras.cli import main; main({arguments!r}); "
    code += "print({'tensorflow', 'keras'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert re.search(r"first +second\[b\]", done.stdout)
    assert re.search(r"rsum ↑ +300\.0 +300\.0", done.stdout)
    assert done.stdout.rstrip().endswith(f"Page: {page}\nset()")
    assert "mmkeras comparison" in page.read_text(encoding="utf-8")


def test_compare_turns_many_runs_around_and_marks_the_best(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    runs = [write_run(tmp_path / f"run{n}", metrics=METRICS | {"rsum": 300 + n}, epochs=n + 2) for n in range(5)]
    assert main(["compare", *map(str, runs)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ +run4 +50\.0 +25\.0 +\*304\.0 *$", out, re.MULTILINE)
    assert re.search(r"^ +run3 +50\.0 +25\.0 +303\.0 *$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 100
    assert "seeds" not in out


def test_compare_gathers_seeds_and_tells_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    runs = [write_run(tmp_path / f"x-seed{n}", f"seed={n}", metrics=METRICS | {"rsum": 300 + n}) for n in range(2)]
    blind = write_run(tmp_path / "blind", metrics=None)
    assert main(["compare", *map(str, runs), str(blind)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"rsum ↑ +300\.5 ±0\.7 +–", out)
    assert f"blind is not evaluated. Measure it with: mmkeras evaluate {blind}\n" in out  # one line, to be copied
    assert main(["compare", "--each", *map(str, runs)]) == 0
    assert re.search(r"rsum ↑ +300\.0 +\*301\.0", capsys.readouterr().out)


def test_compare_refuses_what_is_no_run_and_a_run_alone(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    assert "is no run folder" in refused(capsys, "compare", run, tmp_path)
    assert "Expected two run folders or more to compare" in refused(capsys, "compare", run)


# --- train ---


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["glyph_tiny"], "Did you mean glyphs_tiny?"),
        (["glyphs_tiny", "epoch=1"], "Unknown setting epoch. Did you mean epochs?"),
        (["glyphs_tiny", "epochs=two"], "Expected epochs to be of type int"),
        (["glyphs_tiny", "epochs"], "Expected key=value. Received: epochs"),
        ([], "Expected your data (a captions file or a folder of pictures), a RECIPE"),
        (["--resume", "missing"], "missing is no run folder: it has no run.json"),
        (["glyphs_tiny", "--resume", "run"], "A run goes on with its own settings"),
        (["--resume", "run", "epochs=3"], "A run goes on with its own settings"),
        (["--resume", "run", "--out", "other"], "A run goes on with its own settings"),
        (["glyphs_tiny", "preset=dual_encoder_glyph"], "Expected a preset"),
        (["glyphs_tiny", "data=nowhere.jsonl"], "There is no captions file nowhere.jsonl"),
        (["glyphs_tiny", "batch_size=1000000"], "Expected batch_size from 2 to"),
    ],
)
def test_a_mistake_in_training_is_one_line_and_leaves_nothing(capsys, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mmkeras.training.trainer._prepare_process", lambda recipe: None)
    assert told in refused(capsys, "train", *arguments)
    assert [child for child in tmp_path.rglob("*") if child.is_file()] == []


def test_a_used_folder_is_refused_and_kept(capsys, tiny_run):
    before = sorted(tiny_run.folder.rglob("*"))
    assert "is not empty" in refused(capsys, "train", "glyphs_tiny", "--out", tiny_run.folder)
    assert sorted(tiny_run.folder.rglob("*")) == before


def test_settings_may_follow_the_options(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr("mmkeras.training.trainer.train", trained.append)
    assert main(["train", "glyphs_tiny", "epochs=3", "--out", str(tmp_path / "run"), "seed=5", "limit=9"]) == 0
    (run,) = trained
    assert run.folder == tmp_path / "run"
    assert (run.recipe.epochs, run.recipe.seed, run.recipe.limit) == (3, 5, 9)


def test_a_mistake_on_resuming_keeps_the_run(tmp_path, monkeypatch, capsys):
    from mmkeras.errors import MmkerasError
    from mmkeras.training import Recipe

    run = Run.create(tmp_path / "run", "glyphs_tiny", Recipe.load("glyphs_tiny"))

    def train(run):
        raise MmkerasError("changed")

    monkeypatch.setattr("mmkeras.training.trainer.train", train)
    assert refused(capsys, "train", "--resume", run.folder) == "changed"
    assert Run(run.folder).recipe == run.recipe


def test_an_interrupted_training_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def train(run):
        raise KeyboardInterrupt

    monkeypatch.setattr("mmkeras.training.trainer.train", train)
    assert main(["train", "glyphs_tiny", "--out", str(tmp_path / "run")]) == 130
    assert f"mmkeras train --resume {tmp_path / 'run'}" in capsys.readouterr().err
    assert not Run(tmp_path / "run").finished


def test_a_finished_run_has_nothing_to_resume(tiny_run, capsys):
    assert main(["train", "--resume", str(tiny_run.folder)]) == 0
    assert "has finished already; nothing to do" in capsys.readouterr().out


# --- evaluate, export, parity, serve ---


def test_runs_that_do_not_fit_are_told(capsys, tmp_path):
    from mmkeras.training import Recipe

    run = Run.create(tmp_path / "run", "glyphs_tiny", Recipe.load("glyphs_tiny"))
    told = f"The run {run.folder} has not finished. Finish it with: mmkeras train --resume {run.folder}"
    assert refused(capsys, "evaluate", run.folder) == told
    assert refused(capsys, "export", run.folder, "--to", tmp_path / "m") == told
    run.update(format=99)
    for arguments in (["evaluate", run.folder], ["export", run.folder, "--to", tmp_path / "m"]):
        assert "has format 99" in refused(capsys, *arguments)
    assert not (tmp_path / "m").exists()


def test_an_unknown_split_is_told(capsys, tiny_run):
    assert "Expected a split of the glyphs: train, dev, test" in refused(
        capsys, "evaluate", tiny_run.folder, "--split", "val"
    )


def test_re_ranking_without_a_matching_head_is_told(capsys, tiny_run):
    told = refused(capsys, "evaluate", tiny_run.folder, "--k-test", 5)
    assert "Received: DualEncoder, with k_test=5; 0 measures the embeddings alone" in told


def test_models_that_are_not_there_are_told(capsys, tmp_path):
    for arguments in (["parity", tmp_path / "none"], ["serve", tmp_path / "none"], ["parity", tmp_path]):
        assert "Expected base_path to" in refused(capsys, *arguments)


def test_a_port_in_use_or_out_of_range_is_told(capsys, tiny_version):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused(capsys, "serve", tiny_version.parent, "--port", port)
        assert "Expected a port that is free" in told and str(port) in told
    assert "Expected port to be a number from 0 to 65535" in refused(
        capsys, "serve", tiny_version.parent, "--port", 70000
    )


# --- query ---


@pytest.mark.parametrize(
    "given, limits",
    [
        ((), (MAX_ROWS, MAX_TEXT_BYTES, False)),
        (("--max-rows", 7, "--max-text-bytes", 9, "--allow-reload-config"), (7, 9, True)),
    ],
)
def test_what_clients_may_ask_for_is_an_option_of_serve(monkeypatch, tmp_path, given, limits):
    served = []
    monkeypatch.setattr("mmkeras.serving.launch.serve", lambda *args, **keywords: served.append(keywords["limits"]))
    assert main(["serve", str(tmp_path), *map(str, given)]) in (None, 0)
    assert served == [dict(zip(("max_rows", "max_text_bytes", "allow_reload_config"), limits, strict=True))]


def test_mistakes_in_a_query_are_told(capsys, workplace, tiny_server):
    server = ("--server", tiny_server.address)
    assert "The query is empty" in refused(capsys, "query", "  ", *server)
    assert refused(capsys, "query", "missing.png", *server) == "There is no picture missing.png"
    assert "Expected k as a whole number of 1 or more. Received: k=0" in refused(capsys, "query", "a", "-k", 0, *server)
    assert "other" in refused(capsys, "query", "a", "--model", "other", *server)
    assert "is no index" in refused(capsys, "query", "a", "--index", "nowhere", *server)
    (workplace / "no.png").write_text("no picture")
    told = refused(capsys, "query", "no.png", *server)
    assert "no.png" in told and "expected a JPEG, PNG, GIF, BMP or WebP picture" in told


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_query_without_a_server_says_how_to_start_one(capsys, workplace, scheme):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = refused(capsys, "query", "snowman", "--server", f"{scheme}127.0.0.1:{port}")
    option = "" if scheme else f" --port {port}"
    assert told == (
        f"No server answers at {scheme}127.0.0.1:{port}. Is it running? mmkeras serve savedmodels/tiny{option}"
    )


def test_parity_without_a_server_says_how_to_start_one(capsys, workplace):
    told = refused(capsys, "parity", "savedmodels/tiny", "--server", f"unix:{workplace / 'none'}")
    assert told == f"No server answers at unix:{workplace / 'none'}. Is it running? mmkeras serve savedmodels/tiny"


def test_a_query_of_a_version_or_a_label(capsys, workplace, tiny_server):
    server = ("--server", tiny_server.address)
    assert main(["query", "snowman", "--json", "--version", "1", *server]) == 0
    assert json.loads(capsys.readouterr().out)["results"]
    assert "Expected version to be among [1] of" in refused(capsys, "query", "snowman", "--version", 9, *server)
    told = refused(capsys, "query", "snowman", "--label", "stable", *server)
    assert told.endswith("INVALID_ARGUMENT: Unrecognized servable version label: stable")
    assert "without a version" in refused(capsys, "query", "snowman", "--label", "a", "--version", 1, *server)


def test_a_socket_without_a_server_is_told(capsys, workplace):
    told = refused(capsys, "query", "snowman", "--server", f"unix:{workplace / 'none'}")
    assert told == f"No server answers at unix:{workplace / 'none'}. Is it running? mmkeras serve savedmodels/tiny"


def test_what_a_server_refuses_is_told_in_its_own_words(capsys, workplace, monkeypatch):
    from mmkeras.serving import Client, ServingError

    def refuse(client, index):
        raise ServingError("UNAVAILABLE", "The batch scheduling queue is full")

    monkeypatch.setattr(Client, "check_space", refuse)
    assert refused(capsys, "query", "snowman") == "UNAVAILABLE: The batch scheduling queue is full"


def test_the_model_must_be_named_where_there_are_several(capsys, workplace):
    (workplace / "savedmodels" / "another").mkdir()
    told = refused(capsys, "query", "snowman")
    assert told == "Which model? Name it with --model; there are in savedmodels/: another, tiny"


def test_markup_in_items_is_text(capsys):
    from mmkeras.console import print_answer
    from mmkeras.query import Answer
    from mmkeras.search import SearchResult

    items = [{"id": "[red]1[/red]", "text": "an [/unopened] tag"}, {"id": 2, "text": "plain", "seen": False}]
    results = [SearchResult(rank, 0.5, item) for rank, item in enumerate(items, 1)]
    print_answer(Answer("[bold]q", "text", results, None))
    out = capsys.readouterr().out
    assert "[red]1[/red]" in out and "[/unopened]" in out and "[bold]q" in out
    assert out.count("unseen") == 1
