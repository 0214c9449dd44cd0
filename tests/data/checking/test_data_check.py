"""What a check finds in small data made up for it."""

import io
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import read
from mmkeras.data.checking import check_data, summary_lines
from mmkeras.preprocessing import TextPreprocessor


def picture(seed, kind="PNG", size=(40, 30)):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pictures 0.png to 5.png, and a cache of their own."""
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "data"
    place.mkdir()
    for number in range(6):
        (place / f"{number}.png").write_bytes(picture(number))
    return place


def records(count=6, dev=2):
    return [
        {"image": f"{n}.png", "split": "dev" if n >= count - dev else "train", "captions": [f"a picture of thing {n}"]}
        for n in range(count)
    ]


def checked(folder, lines, text_preprocessor=None, targets="", **options):
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = read(folder / "captions.jsonl", targets=targets, skip_unreadable=1.0)
    return check_data(data, text_preprocessor, **options)


def kinds(problems):
    return [problem.kind for problem in problems]


def only(problems, kind):
    (found,) = [problem for problem in problems if problem.kind == kind]
    return found


@pytest.mark.parametrize("decode", [True, False])
def test_sound_data_are_good(folder, decode):
    findings = checked(folder, records(), decode=decode)
    assert (findings.verdict, findings.exit_code) == ("good", 0)
    assert findings.counts == {
        "train": {"records": 4, "pictures": 4, "captions": 4},
        "dev": {"records": 2, "pictures": 2, "captions": 2},
    }
    assert (findings.pictures.width.median, findings.pictures.height.median) == (40, 30)
    assert findings.pictures.formats == {"PNG": 6}
    assert findings.pictures.bytes == sum(len(picture(number)) for number in range(6))
    assert findings.captions.words.to_dict() == {"least": 5, "median": 5, "mean": 5, "fits_99": 5, "most": 5}
    json.dumps(findings.to_dict())


def test_records_that_contradict_others_are_told_and_cost_no_other(folder):
    lines = [line | {"label": "dog"} for line in records()]
    lines.append(lines[0] | {"label": "cat"})
    (problem,) = checked(folder, lines, targets="category").problems
    assert (problem.kind, problem.what) == (
        "disagreeing",
        "1 of 7 records cannot be read: another record says otherwise",
    )
    assert problem.places == ["line 7: expected one labelling of 0.png. Received: cat, and in line 1 dog"]
    lines = [line | {"id": place} for place, line in enumerate(records())]
    lines += [lines[0] | {"id": "other"}, records()[1]]
    (problem,) = checked(folder, lines).problems
    assert [place.partition(":")[0] for place in problem.places] == ["line 7", "line 8"]
    assert problem.places[0].endswith("expected one id of 0.png. Received: other, and in line 1 0")
    assert problem.places[1].endswith("Received: 1 of 8 without one")


def test_data_that_cannot_be_trained_on_are_told(folder):
    findings = checked(folder, [line | {"split": f"fold{n % 2}"} for n, line in enumerate(records())])
    assert findings.problems == [] and "neither train nor dev, but fold0, fold1" in findings.notes[0].what


def test_each_unreadable_picture_is_told_with_its_reason_and_line(folder):
    lines = records()
    (folder / "0.png").write_bytes(b"")
    (folder / "1.png").write_bytes(b"")  # the same bytes as the other: no copy of it
    (folder / "2.png").write_bytes(b"<html>404</html>")
    (folder / "3.png").write_bytes(picture(3)[:-40])
    (folder / "4.png").write_bytes(b"II*\0" + bytes(50))
    lines += [{"image": "gone.png", "captions": ["it is gone"], "split": "train"}]
    (folder / "6.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\1\0\0" * 2 + b"\x08\2\0\0\0" + b"IEND")
    lines += [{"image": "6.png", "captions": ["it is huge"], "split": "train"}]
    findings = checked(folder, lines)
    told = {problem.what: list(problem.places) for problem in findings.problems}
    nothing = "expected a JPEG, PNG, GIF, BMP or WebP picture; received 0 bytes: the file is empty"
    assert told["2 pictures are empty"] == [f"line 1: 0.png: {nothing}", f"line 2: 1.png: {nothing}"]
    assert told["1 picture is missing"] == [f"line 7: gone.png: missing in {folder}"]
    assert "received 16 bytes of HTML" in told["1 picture is no picture but a web page"][0]
    assert told["1 picture is cut off"] == ["line 4: 3.png: PNG file is truncated (no IEND)"]
    assert "line 5: 4.png: " in told["1 picture is of another format"][0]
    assert "line 8: 6.png: PNG of 65536 x 65536 pixels" in told["1 picture is too large"][0]
    assert told["the split train has no pictures that can be read: training reads it"] == []
    assert (findings.verdict, findings.exit_code) == ("mend", 1)
    assert kinds(findings.notes) == []
    assert findings.pictures.unreadable == 7


def test_a_second_look_reads_nothing_and_finds_the_same(folder, monkeypatch):
    lines = records()
    (folder / "2.png").write_bytes(b"")
    (folder / "0.png").write_bytes(picture(0, "JPEG"))
    for path in folder.glob("*.png"):  # long enough ago for a change to show
        os.utime(path, (1, 1))
    first = checked(folder, lines)
    monkeypatch.setattr("mmkeras.data.checking.picture_looks._decoded", None)
    second = checked(folder, lines)
    assert first.to_dict() == second.to_dict()
    assert second.pictures.formats == {"PNG": 4, "JPEG": 1}
    assert only(second.problems, "unreadable_pictures").what == "1 picture is empty"


@pytest.mark.parametrize("decode", [True, False])
def test_pictures_of_two_splits_and_copies_are_told(folder, decode):
    shutil.copy(folder / "0.png", folder / "copy.png")
    lines = [*records(), {"image": "copy.png", "split": "dev", "captions": ["a copy"]}]
    lines += [{"image": "1.png", "split": "test", "captions": ["again"]}]
    findings = checked(folder, lines, decode=decode)
    shared = [note for note in findings.notes if note.kind == "shared_pictures"]
    assert [(note.count, note.places[0]) for note in shared] == [
        (1, "0.png, or its copies copy.png"),
        (1, "1.png"),
    ]
    assert shared[0].what.startswith("1 of 3 pictures of dev are in train too, or copies of its pictures")
    assert shared[1].what.startswith("1 of 1 pictures of test are in train too")
    copied = only(findings.notes, "copies")
    assert copied.what == "1 picture is a copy of others under other names, such as copy.png of 0.png"
    assert list(copied.places) == ["0.png, copy.png"]
    assert findings.exit_code == 0


def test_one_picture_named_in_several_ways_is_told_and_is_no_copy(folder):
    (folder / "link.png").symlink_to(folder / "1.png")
    lines = [*records(), {"image": "./0.png", "split": "train", "captions": ["x y"]}]
    lines += [{"image": "link.png", "split": "train", "captions": ["y z"]}]
    findings = checked(folder, lines)
    note = only(findings.notes, "named_in_several_ways")
    assert [list(note.places), note.count] == [["0.png, ./0.png", "1.png, link.png"], 2]
    assert "copies" not in kinds(findings.notes)
    assert findings.pictures.count == 6


def test_bad_records_are_told_by_what_they_lack(folder):
    lines = [*records(), {"image": "0.png", "captions": ["fine", " "]}, {"image": "https://a/b.png", "captions": ["x"]}]
    lines += [{"image": "0.png"}, 7]
    findings = checked(folder, lines)
    told = {problem.kind: (problem.what, list(problem.places)) for problem in findings.problems}
    assert told["empty_captions"] == (
        "1 of 10 records cannot be read: an empty caption",
        ["line 7: caption 1 of 0.png is empty"],
    )
    assert told["urls"][1][0].startswith("line 8: ") and "img2dataset" in told["urls"][1][0]
    assert [place[:7] for place in told["bad_records"][1]] == ["line 9:", "line 10"]
    assert findings.exit_code == 1


def test_equal_captions_are_counted_within_a_split(folder):
    lines = records()
    for line, text in zip(lines, ["a dog", "A  dog", "a cat", "a cat", "a dog", "a bird"], strict=True):
        line["captions"] = [text]
    lines[5]["captions"] = ["a bird", "a bird"]
    tokenizer = TextPreprocessor.train(["a dog", "a cat", "a bird"] * 3, 30, 8)
    findings = checked(folder, lines, tokenizer)
    note = only(findings.notes, "equal_captions")
    assert note.what.startswith(
        "4 of 7 captions stand at several pictures of a split (2 different texts, such as 'a dog'"
    )
    assert (findings.captions.at_several, findings.captions.different, findings.captions.twice) == (4, 2, 1)
    assert only(findings.notes, "repeated_captions").places == ["line 6: 'a bird'"]
    assert checked(folder, lines).captions.at_several == 2  # letter by letter


@pytest.mark.parametrize("decode", [True, False])
def test_cut_captions_are_counted_with_the_length_that_fits(folder, decode):
    lines = records()
    lines[0]["captions"] = ["a b c d e f"]
    tokenizer = TextPreprocessor.train(["a b c d e f", "picture of thing 1 2 3 4 5 0"], 40, 5)
    ids = tokenizer.count_ids(["a b c d e f", lines[1]["captions"][0]]).tolist()
    assert ids[0] > 5
    findings = checked(folder, lines, tokenizer, decode=decode)
    long = sum(count > 5 for count in tokenizer.count_ids([line["captions"][0] for line in lines]).tolist())
    note = only(findings.notes, "cut_captions")
    assert note.count == long
    assert f"{long} of 6 captions" in note.what and "the 5 ids" in note.what
    assert f"a sequence_length of {findings.captions.ids.most:.0f} reads 99 % of them whole" in note.what
    assert findings.captions.cut == long / 6


def test_many_short_or_long_captions_are_told(folder):
    lines = records()
    lines[0]["captions"], lines[1]["captions"] = ["dog"], ["word " * 101]
    notes = {note.kind: note for note in checked(folder, lines).notes}
    assert notes["one_word_captions"].what == "1 of 6 captions have one word, such as 'dog'"
    assert notes["long_captions"].count == 1
    lines[0]["captions"] = ["一只狗在草地上奔跑" * 30]  # no spaces between words
    assert "one_word_captions" not in kinds(checked(folder, lines).notes)


def test_classes_are_counted_and_imbalance_and_absence_told(folder):
    for number in range(6, 13):
        (folder / f"{number}.png").write_bytes(picture(number))
    lines = records(13, dev=2)
    for number, line in enumerate(lines):
        line["label"] = "dog" if number < 10 else "cat"
    lines[12]["label"] = "bird"
    findings = checked(folder, lines, targets="category")
    assert findings.classes.counts == {"dog": {"train": 10}, "cat": {"train": 1, "dev": 1}, "bird": {"dev": 1}}
    assert only(findings.notes, "imbalance").what.endswith("has 10 pictures, the smallest, 'bird', 1: 10 times as many")
    assert only(findings.notes, "classes_not_in_train").places == ["'bird': 1 in dev, none in train"]
    assert only(findings.notes, "classes_not_in_dev").what.startswith("1 of 3 classes are in train and not in dev")
    assert checked(folder, lines).classes == findings.classes  # labels are seen without targets too


@pytest.mark.parametrize(("split", "lacks"), [("train", "dev"), ("dev", "train")])
def test_a_split_that_a_training_needs_must_be_there(folder, split, lacks):
    findings = checked(folder, [line | {"split": split} for line in records()])
    assert only(findings.problems, "empty_split").what.startswith(f"the split {lacks} has no pictures")


def test_one_split_to_evaluate_on_is_enough(folder):
    assert checked(folder, [line | {"split": "test"} for line in records()]).problems == []


def test_cut_captions_are_told_by_split_train_first(folder):
    splits = ["b", "test", "dev", "train", "a", "train"]
    lines = [line | {"split": split} for line, split in zip(records(), splits, strict=True)]
    tokenizer = TextPreprocessor.train(["a picture of thing 0 1 2 3 4 5"], 40, 2)
    told = only(checked(folder, lines, tokenizer).notes, "cut_captions").what
    assert "(2 of 2 in train; 1 of 1 in dev; 1 of 1 in test; 1 of 1 in a; 1 of 1 in b)" in told


def test_no_records_are_told(folder):
    assert only(checked(folder, []).problems, "no_records").what == "there is no record that can be read"


def test_drawn_splits_and_unused_columns_are_told(folder):
    findings = checked(folder, [{key: line[key] for key in ("image", "captions")} | {"by": "me"} for line in records()])
    assert findings.drawn and findings.unused == ["by"]
    assert sum(count["pictures"] for count in findings.counts.values()) == 6


def test_features_in_place_of_pictures_are_not_looked_at(folder, tmp_path):
    np.savez(tmp_path / "f.npz", names=[f"{n}.png" for n in range(6)], features=np.eye(6, dtype=np.float32))
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, records())))
    findings = check_data(read(folder / "captions.jsonl", tmp_path / "f.npz"))
    assert findings.pictures is None and findings.verdict == "good"
    assert summary_lines(findings)[1] == "Pictures: features in their place"


def test_five_lines_sum_data_up(folder):
    shutil.copy(folder / "0.png", folder / "copy.png")
    (folder / "1.png").write_bytes(picture(1, "JPEG", (64, 64)))
    lines = [*records(), {"image": "copy.png", "split": "dev", "captions": ["a copy"]}]
    tokenizer = TextPreprocessor.train(["a picture of thing 0 1 2 3 4 5", "a copy"], 40, 50)
    data, pictures, shared, captions, equal = summary_lines(checked(folder, lines, tokenizer, decode=False))
    assert data == "Data: train 4 pictures, 4 captions; dev 3 pictures, 3 captions"
    assert pictures.startswith("Pictures: 40 x 30 to 64 x 64 px, median 40 x 30; PNG 6, JPEG 1; ")
    leak = "1 of 3 pictures of dev are in train too, or copies of its pictures, such as 0.png"
    assert shared == f"Shared: {leak}; 1 picture is a copy of others under other names, such as copy.png of 0.png"
    assert captions.startswith("Captions: 2 to 5, median 5 words; 99 % fit in ") and "0 % are cut at 50" in captions
    assert equal == "Equal captions: none of different pictures"


def test_what_nothing_decodes_leaves_unread(folder):
    (folder / "0.png").write_bytes(b"<html>404</html>")
    findings = checked(folder, records(), decode=False)
    assert findings.problems == [] and not findings.decoded
    assert findings.pictures.looked_at == 6 and findings.pictures.formats == {"PNG": 5}
