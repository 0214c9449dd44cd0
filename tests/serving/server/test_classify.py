"""Classify, Regress and MultiInference answer as TensorFlow Serving does."""

import pytest

from mmkeras.serving import ServingError, protos
from mmkeras.serving.server.classify import classify, multi_inference, regress
from mmkeras.serving.server.servable import Servable
from mmkeras.serving.server.warm_up import replay_warm_up

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def write_examples_model(path):
    """Write a SavedModel whose signatures read the feature "x" (and "name") of examples from one placeholder."""
    import tensorflow.compat.v1 as tf1

    with tf1.Graph().as_default(), tf1.Session() as session:
        serialized = tf1.placeholder(tf1.string, [None], name="examples")
        other = tf1.placeholder(tf1.string, [None], name="other_examples")
        features = {
            "x": tf1.io.FixedLenFeature([], tf1.float32),
            "name": tf1.io.FixedLenFeature([], tf1.string, default_value="anon"),
        }
        parsed = tf1.io.parse_example(serialized, features)
        x = parsed["x"]
        scores = tf1.stack([x, x * 2, x * 3], axis=1)
        classes = tf1.stack([parsed["name"]] * 3, axis=1)
        info = tf1.saved_model.utils.build_tensor_info

        def signature(inputs, outputs):
            return tf1.saved_model.signature_def_utils.build_signature_def(
                {name: info(tensor) for name, tensor in inputs.items()},
                {name: info(tensor) for name, tensor in outputs.items()},
                "tensorflow/serving/predict",
            )

        inputs = {"inputs": serialized}
        outputs = {
            "serving_default": (inputs, {"scores": scores}),
            "both": (inputs, {"classes": classes, "scores": scores}),
            "names": (inputs, {"classes": classes}),
            "flat": (inputs, {"outputs": x}),
            "column": (inputs, {"outputs": x[:, None]}),
            "wide": (inputs, {"outputs": scores}),
            "one": (inputs, {"outputs": x[:1]}),
            "double": (inputs, {"outputs": tf1.cast(x, tf1.float64)}),
            "scores_1d": (inputs, {"scores": x}),
            "scores_int": (inputs, {"scores": tf1.cast(scores, tf1.int32)}),
            "unequal": (inputs, {"classes": classes[:, :2], "scores": scores}),
            "predict": ({"text": serialized}, {"y": x}),
            "two_inputs": ({"inputs": serialized, "more": other}, {"scores": scores}),
            "three_outputs": (inputs, {"classes": classes, "scores": scores, "more": x}),
            "elsewhere": ({"inputs": other}, {"outputs": tf1.cast(tf1.strings.length(other), tf1.float32)}),
            "other_outputs": (inputs, {"y": x}),
        }
        builder = tf1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {name: signature(*both) for name, both in outputs.items()}
        )
        builder.save()


@pytest.fixture(scope="module")
def servable(tmp_path_factory):
    path = tmp_path_factory.mktemp("examples") / "7"
    write_examples_model(path)
    servable = Servable(path, "m", 7)
    yield servable
    servable.close()


def example(x=None, name=None):
    message = protos.Example()
    if x is not None:
        message.features.feature["x"].float_list.value.append(x)
    if name is not None:
        message.features.feature["name"].bytes_list.value.append(name)
    return message


def examples(*values):
    return protos.Input(example_list=protos.ExampleList(examples=[example(value) for value in values]))


def spec(signature=""):
    return protos.ModelSpec(name="m", signature_name=signature)


def classes_of(result):
    return [[(entry.label, entry.score) for entry in row.classes] for row in result.classifications]


def refusal(function, servable, request):
    with pytest.raises(ServingError) as caught:
        function(servable, request)
    return caught.value.code, caught.value.details


def test_classify(servable):
    response = classify(servable, protos.ClassificationRequest(model_spec=spec(), input=examples(1, 5)))
    assert classes_of(response.result) == [[("", 1), ("", 2), ("", 3)], [("", 5), ("", 10), ("", 15)]]
    answered = response.model_spec
    assert (answered.name, answered.version.value, answered.signature_name) == ("m", 7, "serving_default")
    named = protos.ExampleList(examples=[example(1, b"a"), example(2, b"\xff")])
    request = protos.ClassificationRequest(model_spec=spec("both"), input=protos.Input(example_list=named))
    response = classify(servable, request)
    assert classes_of(response.result) == [
        [("a", 1), ("a", 2), ("a", 3)],
        [("\ufffd", 2), ("\ufffd", 4), ("\ufffd", 6)],
    ]
    request.model_spec.signature_name = "names"
    assert classes_of(classify(servable, request).result)[0] == [("a", 0)] * 3


def test_regress(servable):
    for signature in ("flat", "column"):
        request = protos.RegressionRequest(model_spec=spec(signature), input=examples(1.5, -2))
        response = regress(servable, request)
        assert [entry.value for entry in response.result.regressions] == [1.5, -2]
        assert response.model_spec.signature_name == signature


def test_a_context_is_part_of_every_example(servable):
    message = protos.Input()
    message.example_list_with_context.context.CopyFrom(example(name=b"shared"))
    message.example_list_with_context.examples.extend([example(1), example(2)])
    response = classify(servable, protos.ClassificationRequest(model_spec=spec("both"), input=message))
    assert [row[0] for row in classes_of(response.result)] == [("shared", 1), ("shared", 2)]


CLASSIFY_CASES = {
    "unknown": ("zz", "No signature was found with the name: zz"),
    "predict": ("predict", "No classification inputs found in SignatureDef: "),
    "regression": ("flat", "Expected classification signature outputs to contain at least one of"),
    "two_inputs": ("two_inputs", "Expected one input Tensor."),
    "three_outputs": ("three_outputs", "Expected one or two output Tensors, found 3"),
    "rank": ("scores_1d", "Expected Tensor shape: [batch_size num_classes] but got [1]"),
    "dtype": ("scores_int", "Expected scores Tensor of DT_FLOAT. Got: DT_INT32"),
    "unequal": ("unequal", "Tensors class and score should match in dim_size(1). Got 2 vs. 3"),
}


@pytest.mark.parametrize("case", CLASSIFY_CASES)
def test_classify_refuses(servable, case):
    signature, text = CLASSIFY_CASES[case]
    code, details = refusal(
        classify, servable, protos.ClassificationRequest(model_spec=spec(signature), input=examples(1))
    )
    assert (code, details[: len(text)]) == ("INVALID_ARGUMENT", text)


REGRESS_CASES = {
    "unknown": ("zz", "No signature was found with the name: zz"),
    "predict": ("predict", "No regression inputs found in SignatureDef: "),
    "no_outputs": ("other_outputs", "No regression outputs found in SignatureDef: "),
    "two_outputs": ("both", "Expected one output Tensor."),
    "wide": ("wide", "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,3]"),
    "rows": ("one", "Input batch size did not match output batch size: 2 vs. 1"),
    "dtype": ("double", "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
}


@pytest.mark.parametrize("case", REGRESS_CASES)
def test_regress_refuses(servable, case):
    signature, text = REGRESS_CASES[case]
    code, details = refusal(
        regress, servable, protos.RegressionRequest(model_spec=spec(signature), input=examples(1, 2))
    )
    assert (code, details[: len(text)]) == ("INVALID_ARGUMENT", text)


def test_an_empty_input_is_told_after_the_signature(servable):
    for message in (None, protos.Input(), examples(), protos.Input(example_list_with_context={})):
        request = protos.ClassificationRequest(model_spec=spec(), input=message)
        assert refusal(classify, servable, request) == ("INVALID_ARGUMENT", "Input is empty.")
    request = protos.ClassificationRequest(model_spec=spec("zz"))
    assert refusal(classify, servable, request)[1] == "No signature was found with the name: zz"


def test_an_example_without_its_feature_is_the_operations_to_refuse(servable):
    code, text = refusal(
        regress,
        servable,
        protos.RegressionRequest(
            model_spec=spec("flat"), input=protos.Input(example_list=protos.ExampleList(examples=[example()]))
        ),
    )
    assert code == "INVALID_ARGUMENT" and "Feature: x" in text


def task(signature, method_name, name="m"):
    return protos.InferenceTask(
        model_spec=protos.ModelSpec(name=name, signature_name=signature), method_name=method_name
    )


def test_multi_inference(servable):
    request = protos.MultiInferenceRequest(tasks=[task("", CLASSIFY), task("flat", REGRESS)], input=examples(1, 2))
    classified, regressed = multi_inference(servable, request).results
    assert classes_of(classified.classification_result)[1] == [("", 2), ("", 4), ("", 6)]
    assert [entry.value for entry in regressed.regression_result.regressions] == [1, 2]
    assert regressed.model_spec == protos.ModelSpec(name="m", signature_name="flat", version=protos.Int64Value(value=7))


MULTI_CASES = [
    (
        [task("flat", "tensorflow/serving/predict")],
        "UNIMPLEMENTED",
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    ([task("flat", REGRESS)] * 2, "INVALID_ARGUMENT", "Duplicate evaluation of signature: flat"),
    ([task("zz", REGRESS)], "INVALID_ARGUMENT", "Requested signature not found in model graph: zz"),
    (
        [task("flat", REGRESS), task("", CLASSIFY, name="n")],
        "INVALID_ARGUMENT",
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    (
        [task("flat", REGRESS), task("", CLASSIFY, name="")],
        "INVALID_ARGUMENT",
        "Found ModelSpec with an empty model name.",
    ),
    (
        [task("flat", REGRESS), task("elsewhere", REGRESS)],
        "INVALID_ARGUMENT",
        "Input tensor must be the same for all Signatures.",
    ),
    ([task("wide", CLASSIFY)], "INVALID_ARGUMENT", "Expected classification signature outputs to contain"),
]


@pytest.mark.parametrize(("tasks", "code", "text"), MULTI_CASES)
def test_multi_inference_refuses(servable, tasks, code, text):
    refused = refusal(multi_inference, servable, protos.MultiInferenceRequest(tasks=tasks, input=examples(1)))
    assert (refused[0], refused[1][: len(text)]) == (code, text)


def test_warm_up_records_of_every_kind(servable, monkeypatch):
    import tensorflow as tf

    file = servable.path / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir(exist_ok=True)
    logs = [
        protos.PredictionLog(classify_log={"request": {"model_spec": spec("both"), "input": examples(1)}}),
        protos.PredictionLog(regress_log={"request": {"model_spec": spec("flat"), "input": examples(1)}}),
        protos.PredictionLog(
            multi_inference_log={"request": {"tasks": [task("column", REGRESS, name="n")], "input": examples(1)}}
        ),
    ]

    def write(logs):
        with tf.io.TFRecordWriter(str(file)) as writer:
            for log in logs:
                writer.write(log.SerializeToString())

    asked = []
    run = servable.run
    monkeypatch.setattr(servable, "run", lambda name, *rest: asked.append(name) or run(name, *rest))
    write(logs)
    assert replay_warm_up(servable) == 3
    assert asked == ["both", "flat", "column"]
    logs[1].regress_log.request.model_spec.signature_name = "zz"
    write(logs)
    with pytest.raises(ServingError, match="record 2 of .*: No signature was found with the name: zz"):
        replay_warm_up(servable)
    file.unlink()
