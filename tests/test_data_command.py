"""`mmkeras data check` on the command line."""

import json

import pytest
from PIL import Image

from mmkeras.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    lines = ["file,caption,split,author"]
    for number in range(6):
        Image.new("RGB", (30, 20), (40 * number, 0, 0)).save(tmp_path / "photos" / f"{number}.png")
        lines.append(f"{number}.png,a thing of number {number},{'val' if number > 3 else 'train'},me")
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    return tmp_path


def test_a_table_within_80_columns_ends_in_the_verdict(folder, capsys):
    assert main(["data", "check", "captions.csv", "--images", "photos"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert out.splitlines()[-1] == "captions.csv: nothing stands out"
    for words in ("CSV or TSV", "not used", "author", "all 30 x 20 px", "all PNG", "0 % of them are cut at "):
        assert words in " ".join(out.split()), words


def test_json_is_for_programs_and_the_exit_code_tells_what_must_be_mended(folder, capsys):
    (folder / "photos" / "1.png").write_bytes(b"<!doctype html><p>gone")
    assert main(["data", "check", "captions.csv", "--images", "photos", "--json", "--html", "page.html"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "mend"
    assert told["problems"][0]["places"][0].startswith("line 3: 1.png: expected a JPEG")
    assert told["splits"]["dev"] == {"records": 2, "pictures": 2, "captions": 2}
    assert "1 picture is no picture but a web page" in (folder / "page.html").read_text()


def test_a_terminal_shows_the_first_places_and_how_many_more(folder, capsys):
    lines = (folder / "captions.csv").read_text() + "".join(f"\ngone{n}.png,a gone thing,train,me" for n in range(14))
    (folder / "captions.csv").write_text(lines)
    assert main(["data", "check", "captions.csv", "--images", "photos"]) == 1
    out = capsys.readouterr().out
    assert "- 14 pictures are missing" in out and "line 17: gone9.png" in out and "gone10.png" not in out
    assert "... and 4 more: --json lists all" in out


@pytest.mark.parametrize(
    ("chosen", "length"),
    [(["--preset", "dual_encoder_glyphs"], 18), (["--recipe", "flickr8k_soft_mask"], 20), ([], 20)],
)
def test_captions_are_counted_as_a_preset_reads_them(folder, capsys, chosen, length):
    main(["data", "check", "captions.csv", "--images", "photos", "--json", *chosen])
    assert json.loads(capsys.readouterr().out)["captions"]["sequence_length"] == length


def test_a_tokenizer_that_cannot_be_learnt_is_a_note(folder, capsys):
    letters = "".join(chr(0x4E00 + number) for number in range(5100))
    (folder / "captions.csv").write_text((folder / "captions.csv").read_text() + f"\n0.png,{letters},train,me")
    assert main(["data", "check", "captions.csv", "--images", "photos", "--json"]) == 0
    notes = {note["kind"]: note["what"] for note in json.loads(capsys.readouterr().out)["notes"]}
    assert "Expected vocabulary_size of" in notes["tokenizer"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothere.csv"], "There is no captions file nothere.csv"),
        (["photos"], "photos holds 6 pictures and no captions"),
        (["photos/1.png"], "Expected data to be"),
        (["glyphs"], "Expected pictures with captions"),
        (["captions.csv", "--images", "nothere"], "nothere, which is not there"),
        (["captions.csv", "--preset", "nothing"], "Expected a preset"),
        (["captions.csv", "--recipe", "nothing"], "nothing"),
    ],
)
def test_mistakes_in_what_was_given_have_the_code_2(folder, capsys, arguments, told):
    assert main(["data", "check", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_the_group_alone_shows_its_commands(capsys):
    assert main(["data"]) == 2
    assert "check" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["photos", "captions.csv/page.html"])
def test_a_page_that_cannot_be_written_is_told_before_the_check(folder, capsys, page):
    assert main(["data", "check", "captions.csv", "--images", "photos", "--html", page]) == 2
    told = capsys.readouterr()
    assert f"error: {page} could not be written: " in told.err and told.out == ""
    assert sorted(path.name for path in folder.iterdir()) == ["captions.csv", "photos"]
