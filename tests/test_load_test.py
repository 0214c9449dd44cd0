"""scripts/load_test.py against a small server: what it counts is what the server did."""

import json
import runpy

import pytest


@pytest.fixture(scope="module")
def main(repository):
    return runpy.run_path(str(repository / "scripts" / "load_test.py"))["main"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    import tensorflow as tf

    from mmkeras.serving import EmbeddedServer

    class Lengths(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def encode_text(self, text):
            lengths = tf.cast(tf.strings.length(text), tf.float32)
            fail = tf.debugging.Assert(tf.reduce_all(lengths > 0), ["no text"])
            with tf.control_dependencies([fail]):
                return {"embedding": tf.stack([lengths, lengths], axis=1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def encode_image(self, image_bytes):
            # A JPEG file begins so; made-up pictures are whole files.
            whole = tf.reduce_all(tf.strings.substr(image_bytes, 0, 2) == b"\xff\xd8")
            with tf.control_dependencies([tf.debugging.Assert(whole, ["no picture"])]):
                return {"embedding": tf.ones([tf.size(image_bytes), 2])}

    module = Lengths()
    folder = tmp_path_factory.mktemp("models") / "lengths"
    signatures = {"encode_text": module.encode_text, "encode_image": module.encode_image}
    tf.saved_model.save(module, str(folder / "1"), signatures=signatures)
    with EmbeddedServer(folder) as server:
        yield server


def test_texts_and_pictures_at_several_numbers_of_clients(main, server, tmp_path, capsys):
    for signature, rows in (("encode_text", 3), ("encode_image", 1)):
        arguments = ["--server", server.address, "--model", "lengths", "--signature", signature, "--rows", str(rows)]
        arguments += ["--clients", "1", "3", "--seconds", "0.3", "--json", str(tmp_path / "figures.json")]
        assert main(arguments) == 0
        results = json.loads((tmp_path / "figures.json").read_text())
        assert [result["clients"] for result in results] == [1, 3]
        for result in results:
            assert result["errors"] == {}
            assert result["rows_per_second"] == pytest.approx(rows * result["requests_per_second"])
            assert 0 < result["p50_ms"] <= result["p99_ms"] < 300_000
        out = capsys.readouterr().out
        assert signature in out and "none" in out and "p99" in out


def test_errors_are_counted_by_code_and_end_with_1(main, server, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"no picture")
    arguments = ["--server", server.address, "--model", "lengths", "--signature", "encode_image"]
    arguments += ["--pictures", str(tmp_path), "--clients", "2", "--seconds", "0.2"]
    assert main(arguments) == 1
    assert "INVALID_ARGUMENT" in capsys.readouterr().out
    assert main(["--server", server.address, "--model", "nope", "--clients", "1", "--seconds", "0.1"]) == 1
    assert "NOT_FOUND" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--clients", "0"], ["--rows", "0"], ["--seconds", "0"]])
def test_what_cannot_be_measured_is_refused(main, wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--model", "lengths", *wrong])
    assert caught.value.code == 2 and "above 0" in capsys.readouterr().err


def test_an_address_that_is_none_is_told(main, capsys):
    with pytest.raises(SystemExit):
        main(["--model", "lengths", "--server", "ftp://127.0.0.1:1"])
    assert "Expected address" in capsys.readouterr().err


def test_a_folder_without_pictures_is_named(main, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--model", "lengths", "--signature", "encode_image", "--pictures", str(tmp_path)])
    assert str(tmp_path) in capsys.readouterr().err
