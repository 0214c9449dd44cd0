"""Data that users stumble over, from the folder of real data sets: each is told rightly, with its exit code."""

import pytest

from mmkeras.cli import main

CASES = {
    "leak": (0, ["24 of 24 pictures of dev are in train too"]),
    "dup_caption": (0, ["18 of 24 captions stand at several pictures of a split (6 different texts", "'a red shape'"]),
    "long": (0, ["18 of 18 in train; 6 of 6 in dev", "have over 100 words"]),
    # A third one is WebP, which is read by now.
    "three_bad": (
        1,
        ["1 picture is empty", "line 3: red_triangle.png", "no picture but a web page", "line 10: blue_squ"],
    ),
    "no_caption": (1, ["1 of 24 records cannot be read", "line 6: "]),
    "urls": (1, ["24 of 24 records cannot be read: a URL", "img2dataset", "there is no record that can be read"]),
    "same_picture_two_ways": (
        0,
        ["24 pictures are named in several ways, such as red_circle.png and ./red_circle.png"],
    ),
    "ok": (0, ["train 18 18 36 dev 6 6 12", "none of different pictures", "can be read all"]),
}


@pytest.mark.parametrize("name", CASES)
def test_hard_data_are_told_rightly(real_data, name, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path))
    place = real_data / "hard_inputs"
    images = place / ("captions/three_bad" if name == "three_bad" else "pics")
    code, told = CASES[name]
    assert main(["data", "check", str(place / "captions" / f"{name}.jsonl"), "--images", str(images)]) == code
    out = " ".join(capsys.readouterr().out.split())
    for words in told:
        assert words in out
    assert ("To be mended:" in out) == (code == 1)
