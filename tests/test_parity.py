"""Parity passes for what was exported and for nothing else."""

import shutil

import numpy as np
import pytest

from mmkeras.cli import main
from mmkeras.errors import MmkerasError
from mmkeras.parity import TOLERANCE, check_parity, golden_of, saved_model_predict
from mmkeras.serving import Client


@pytest.fixture(scope="module")
def predict(tiny_version):
    return saved_model_predict(tiny_version)


@pytest.fixture
def altered(tiny_version, tmp_path):
    """A function that copies the model with one golden array changed; the copy's base path."""

    def altered(key, change):
        base_path = tmp_path / "tiny"
        shutil.copytree(tiny_version, base_path / "1")
        file = base_path / "1" / "assets.extra" / "golden.npz"
        with np.load(file) as golden:
            arrays = dict(golden)
        arrays[key] = change(arrays[key].copy())
        np.savez(file, **arrays)
        return base_path

    return altered


def shifted(value):
    value[3, 5] += 10 * TOLERANCE
    return value


def with_nan(value):
    value[-1] = np.nan
    return value


def other_id(value):
    value[2] = b"0" * 64
    return value


def test_the_files_answer_what_keras_answered(tiny_version, predict):
    comparisons = check_parity(golden_of(tiny_version), predict)
    assert sorted((c.signature, c.output) for c in comparisons) == [
        ("describe", "space_id"),
        ("encode_image", "embedding"),
        ("encode_image_tolerant", "embedding"),
        ("encode_image_tolerant", "valid"),
        ("encode_pixels", "embedding"),
        ("encode_text", "embedding"),
        ("match", "score"),
    ]
    for c in comparisons:
        assert c.passed and c.rows == 16, c
        assert c.max_abs_difference < 1e-5 and c.min_cosine > 0.99999, c


def test_a_server_answers_what_keras_answered(tiny_version, tiny_server):
    with Client(tiny_server.address, "tiny") as client:
        comparisons = check_parity(golden_of(tiny_version), client.predict)
    assert len(comparisons) == 7 and all(c.passed for c in comparisons)


@pytest.mark.parametrize(
    "expected, received, passed",
    [
        (np.eye(2), np.eye(2) + TOLERANCE / 2, True),
        (np.eye(2), np.eye(2) + TOLERANCE * 2, False),
        (np.eye(2) * 0.001, np.eye(2) * 0.001 + 0.00005, False),  # within the difference, but turned
        (np.eye(2), np.full((2, 2), np.nan), False),
        (np.full((2, 2), np.nan), np.full((2, 2), np.nan), False),
        (np.eye(2), np.eye(3), False),
        (np.float32([[1, 0], [0, 0]]), np.float32([[1, 0], [0, 0]]), True),  # the second row is no picture
        (np.float32([[1, 0], [0, 0]]), np.float32([[1, 0], [0, TOLERANCE / 2]]), False),
        (np.float32([[1, 0], [0, TOLERANCE / 2]]), np.float32([[1, 0], [0, 0]]), False),
        (np.array([True, False]), np.array([True, False]), True),
        (np.array([True, False]), np.array([True, True]), False),
        (np.zeros(3), np.array([0, 0, np.nan]), False),
        (np.zeros(3), np.array([0, 0, np.inf]), False),
        (np.array([b"a", b"b"]), np.array([b"a", b"b"], object), True),
        (np.array([b"a", b"b"]), np.array([b"a", b"c"], object), False),
        (np.array([b"a", b"b"]), np.array([b"a"], object), False),
    ],
)
def test_what_passes(expected, received, passed):
    golden = {"s": {"inputs": {}, "outputs": {"embedding": expected}}}
    (comparison,) = check_parity(golden, lambda signature, inputs: {"embedding": received})
    assert comparison.passed is passed, comparison


@pytest.mark.parametrize(
    "expected, received, passed",
    [
        (np.zeros((2, 3)), np.zeros((2, 3)), True),  # sigmoids of a sure no; no direction to compare
        (np.full((2, 3), 1e-5), np.full((2, 3), 1e-5) * [1, 2, 1], True),
        (np.full((2, 3), 0.5), np.full((2, 3), 0.5) + [0, 0, 2 * TOLERANCE], False),
        (np.full((2, 3), 0.5), np.full((2, 3), np.nan), False),
        (np.array([[b"a", b"b"]]), np.array([[b"a", b"b"]], object), True),
        (np.array([[b"a", b"b"]]), np.array([[b"b", b"a"]], object), False),
        (np.array([[b"a", b"b"]]), np.array([[b"a"], [b"b"]], object), False),
        (np.array([["Straße".encode()]]), np.array([[b"Strasse"]], object), False),
    ],
)
def test_what_passes_of_a_classification(expected, received, passed):
    golden = {"s": {"inputs": {}, "outputs": {"y": expected}}}
    (comparison,) = check_parity(golden, lambda signature, inputs: {"y": received})
    assert comparison.passed is passed and comparison.min_cosine in (0.0, 1.0), comparison


def test_a_missing_output_or_signature_is_told(predict):
    golden = {"encode_text": {"inputs": {"text": np.array([b"a"])}, "outputs": {"vector": np.zeros((1, 2))}}}
    with pytest.raises(MmkerasError, match="Expected encode_text to return vector. Received: embedding"):
        check_parity(golden, predict)
    with pytest.raises(MmkerasError, match="has no signature encode_sound. There are: .*encode_text"):
        predict("encode_sound", {})
    with pytest.raises(MmkerasError, match=r"refused the inputs of encode_text: Shape of [^\n]* shape \[\?\]\.$"):
        predict("encode_text", {"text": np.array([[b"a"]])})


def test_the_command_ends_with_0_for_the_genuine(tiny_version, tiny_server, capsys):
    assert main(["parity", str(tiny_version.parent)]) == 0
    out = capsys.readouterr().out
    assert out.count("equal") == 7 and "DIFFERS" not in out
    assert main(["parity", str(tiny_version), "--server", tiny_server.address]) == 0


def test_the_command_knows_the_name_of_the_folder_it_stands_in(tiny_version, tiny_server, monkeypatch):
    monkeypatch.chdir(tiny_version.parent)
    for here in (".", "1"):
        assert main(["parity", here, "--server", tiny_server.address]) == 0


@pytest.mark.parametrize(
    "key, change",
    [
        ("encode_text/outputs/embedding", shifted),
        ("encode_image/outputs/embedding", with_nan),
        ("match/outputs/score", with_nan),
        ("describe/outputs/space_id", other_id),
    ],
)
def test_the_command_ends_with_1_where_an_answer_differs(altered, tiny_server, capsys, key, change):
    base_path = altered(key, change)
    # Against the server, which is up already; it answers as the files do.
    assert main(["parity", str(base_path), "--server", tiny_server.address]) == 1
    out = capsys.readouterr().out
    assert out.count("DIFFERS") == 1 and out.count("equal") == 6


def test_the_command_ends_with_1_where_the_files_differ(altered):
    assert main(["parity", str(altered("encode_text/inputs/text", lambda text: text[::-1]))]) == 1


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_damaged_golden_examples_are_told(tiny_version, tmp_path, capsys, damage):
    base_path = tmp_path / "tiny"
    shutil.copytree(tiny_version, base_path / "1")
    file = base_path / "1" / "assets.extra" / "golden.npz"
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:2000])
    else:
        np.savez(file, other=np.zeros(2))
    assert main(["parity", str(base_path)]) == 2
    assert "has no readable golden examples" in capsys.readouterr().err
