"""What people read of an error: TensorFlow's texts without its graph, in every form in which it writes them."""

import pickle

import pytest

from mmkeras.cli import main
from mmkeras.errors import MmkerasError, without_graph
from mmkeras.serving import ServingError

REFUSED = "row 0: expected a JPEG, PNG, GIF or BMP picture; received 10 bytes of another kind"
FUNCTION = "{{function_node __inference__refuse_9275}} "
# As TensorFlow 2.21 and TensorFlow Serving wrote them.
TEXTS = {
    "a session's": (
        f"{FUNCTION * 2}assertion failed: [{REFUSED}]\n\t [[{{{{node Assert}}}}]]\n\t [[map/while/body/_39]]",
        f"assertion failed: [{REFUSED}]",
    ),
    "a node of a function": (
        "Shape of tensor x [1,3] is not compatible with expected shape [?,3,3].\n\t "
        "[[{{function_node __inference_f_1}}{{node EnsureShape}}]]",
        "Shape of tensor x [1,3] is not compatible with expected shape [?,3,3].",
    ),
    "an eager function's": (
        "Graph execution error:\n\nDetected at node Assert defined at (most recent call last):\n"
        f"<stack traces unavailable>\nassertion failed: [{REFUSED}]\n\t [[{{{{node Assert}}}}]] [Op:__inference_f_7]",
        f"assertion failed: [{REFUSED}]",
    ),
    "an eager function's with its stack": (
        "Graph execution error:\n\nDetected at node f/Assert defined at (most recent call last):\n"
        '  File "/a/b.py", line 7, in f\n\n  File "/a/c.py", line 9, in g\n\nno picture\n\t [[{{node f/Assert}}]]',
        "no picture",
    ),
    "an eager operation's": (
        "{{function_node __wrapped__ReadFile_device_/job:localhost/device:CPU:0}} /x; No such file [Op:ReadFile]",
        "/x; No such file",
    ),
    "an iterator's": (
        "{{function_node __wrapped__I}} corrupted record at 0 [Op:IteratorGetNext] name: ",
        "corrupted record at 0",
    ),
    "several at once": (
        "2 root error(s) found.\n  (0) INVALID_ARGUMENT: no picture\n\t [[{{node Assert}}]]\n\t [[{{node y}}]]\n"
        "  (1) INVALID_ARGUMENT: no picture\n\t [[{{node Assert}}]]\n0 successful operations.\n0 derived errors",
        "no picture",
    ),
    "cut by the server": ("no picture\n\t [[StatefulPartitionedCall/map/wh...TRUNCATED", "no picture"),
    "cut in a name": ("no picture {{function_node __inference_f...TRUNCATED", "no picture "),
    "none of TensorFlow's": ("Expected [[1, 2],\n [[3, 4]] or {{name}}", "Expected [[1, 2],\n [[3, 4]] or {{name}}"),
}


@pytest.mark.parametrize(("text", "told"), TEXTS.values(), ids=TEXTS)
def test_what_quotes_the_graph_is_left_out(text, told):
    assert without_graph(text) == told
    assert str(MmkerasError(text)) == told


@pytest.mark.parametrize(("text", "told"), TEXTS.values(), ids=TEXTS)
def test_a_servers_error_keeps_its_text_and_shows_the_reason(text, told):
    error = ServingError("INVALID_ARGUMENT", text, "Predict of model 'toy'")
    reason = REFUSED if told == f"assertion failed: [{REFUSED}]" else told
    assert (error.details, error.reason) == (text, reason)
    assert str(error) == f"Predict of model 'toy' failed: INVALID_ARGUMENT: {reason}"
    again = pickle.loads(pickle.dumps(error))
    assert (again.details, str(again)) == (text, str(error))


@pytest.mark.parametrize(
    "text", ["assertion failed: [1]", "assertion failed: [a b] [3]", "assertion failed: [a [b] c]"]
)
def test_of_other_assertions_all_is_shown(text):
    assert ServingError("INVALID_ARGUMENT", text).reason == text


def test_the_command_line_tells_it_line_by_line(monkeypatch, capsys):
    def fails(path):
        raise MmkerasError(f"{path}:\n  {TEXTS['several at once'][0]}")

    monkeypatch.setattr("mmkeras.search.EmbeddingIndex", fails)
    assert main(["query", "omega", "--model", "toy", "--index", "some/index"]) == 2
    assert capsys.readouterr().err == "mmkeras: error: some/index:\n  no picture\n"
