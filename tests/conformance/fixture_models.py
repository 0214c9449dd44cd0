"""The SavedModels that the rows are asked of, made by plain TensorFlow in a few seconds."""


def write_models(folder):
    """Write every fixture below a folder.

    dense: versions 1 and 2, whose answers are multiplied by the version; a signature for every kind of request.
    plain: one signature, and none called serving_default.
    multi: made as TensorFlow 1 made them: Classify and Regress signatures over one input tensor.
    rows: what batching is tested with.
    half: 1, 2 and 3: x / 2 + version.
    broken: version 1 is no SavedModel.
    lacking: version 1 calls an operation that no server knows.
    vocabulary: a table that is read from an asset file.
    """
    for version in (1, 2):
        write_dense(folder / "dense" / str(version), version)
    for version in (1, 2, 3):
        write_half(folder / "half" / str(version), version)
    write_half(folder / "plain" / "1", 2, signature="only")
    write_multi(folder / "multi" / "1")
    write_rows(folder / "rows" / "1")
    (folder / "broken" / "1").mkdir(parents=True, exist_ok=True)
    (folder / "broken" / "1" / "saved_model.pb").write_bytes(b"no protobuf at all")
    write_half(folder / "lacking" / "1", 2)
    _rename_operation(folder / "lacking" / "1" / "saved_model.pb", "AddV2", "NoSuchOperation")
    write_vocabulary(folder / "vocabulary" / "1")


def write_half(path, version, signature="serving_default"):
    """Write y = x / 2 + version."""
    import tensorflow as tf

    class Half(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def answer(self, x):
            return {"y": x / 2 + float(version)}

    module = Half()
    tf.saved_model.save(module, str(path), signatures={signature: module.answer})


def write_dense(path, version):
    import tensorflow as tf

    def spec(shape, dtype, name):
        return tf.TensorSpec(shape, dtype, name=name)

    def scores(examples):
        x = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]
        return x * float(version)

    class Dense(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(tf.ones([3, 2]) * float(version))

        @tf.function(input_signature=[spec([None, 3], tf.float32, "feats")])
        def feats(self, feats):
            y = tf.matmul(feats, self.weight)  # (B, 2)
            return {"mean": tf.reduce_mean(y, axis=1), "sum": tf.reduce_sum(y, axis=1)}

        @tf.function(input_signature=[spec([None], tf.float32, "a"), spec([None], tf.float32, "b")])
        def pair(self, a, b):
            return {"sum": a + b}

        @tf.function(input_signature=[spec([None], tf.string, "text")])
        def text(self, text):
            return {"same": tf.identity(text), "same_bytes": tf.identity(text)}

        @tf.function(input_signature=[spec([None], tf.string, "text")])
        def guarded_text(self, text):
            return {"same": tf.identity(tf.ensure_shape(text, [None]))}

        @tf.function(input_signature=[spec([None], tf.float32, "x")])
        def scalar_output(self, x):
            return {"y": tf.reduce_sum(x)}

        @tf.function(input_signature=[spec([], tf.float32, "x")])
        def scalar_input(self, x):
            return {"y": x * 2}

        @tf.function(input_signature=[spec([None], tf.float32, "x")])
        def positive(self, x):
            check = tf.debugging.Assert(tf.reduce_all(x > 0), ["not positive"])
            with tf.control_dependencies([check]):
                checked = tf.identity(x)
            return {"checked": checked, "plain": x * 2}

        @tf.function(input_signature=[spec([], tf.int32, "steps")])
        def slow(self, steps):
            _, total = tf.while_loop(
                lambda i, x: i < steps, lambda i, x: (i + 1, x + tf.reduce_sum(tf.random.uniform([99]))), (0, 0.0)
            )
            return {"total": total}

        @tf.function(jit_compile=True)
        def doubled(self, x):
            return x * 2

        @tf.function(input_signature=[spec([None], tf.float32, "x")])
        def jit(self, x):
            return {"y": self.doubled(x)}

        @tf.function(input_signature=[spec([None], tf.string, "inputs")])
        def classify(self, inputs):
            x = scores(inputs)
            return {
                "classes": tf.tile(tf.constant([["yes", "no"]]), [tf.size(x), 1]),
                "scores": tf.stack([x, 1 - x], axis=1),
            }

        @tf.function(input_signature=[spec([None], tf.string, "inputs")])
        def scores_only(self, inputs):
            return {"scores": scores(inputs)[:, None]}

        @tf.function(input_signature=[spec([None], tf.string, "inputs")])
        def regress(self, inputs):
            return {"outputs": scores(inputs)}

        @tf.function(input_signature=[spec([None], tf.string, "inputs")])
        def regress_column(self, inputs):
            return {"outputs": scores(inputs)[:, None]}

    dense = Dense()
    names = "pair text guarded_text scalar_output scalar_input positive slow jit".split()
    names += "classify scores_only regress regress_column".split()
    signatures = {"serving_default": dense.feats, **{name: getattr(dense, name) for name in names}}
    for dtype in ("double", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool", "half"):
        signatures[f"same_{dtype}"] = _same(tf, tf.as_dtype(dtype))
    tf.saved_model.save(dense, str(path), signatures=signatures)


def write_multi(path):
    """Write TF Serving's half_plus_two in small: y = x / 2 + 2 and y2 = x / 2 + 3 of tf.Example."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    with tf1.Graph().as_default(), tf1.Session() as session:
        serialized = tf1.placeholder(tf.string, [None], name="examples")
        x = tf1.io.parse_example(serialized, {"x": tf1.io.FixedLenFeature([], tf.float32)})["x"]
        weight = tf1.get_variable("weight", initializer=0.5)
        session.run(tf1.global_variables_initializer())

        def signature(inputs, outputs, method_name):
            described = [
                {alias: tf1.saved_model.utils.build_tensor_info(tensor) for alias, tensor in tensors.items()}
                for tensors in (inputs, outputs)
            ]
            return tf1.saved_model.build_signature_def(*described, f"tensorflow/serving/{method_name}")

        builder = tf1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": signature({"x": x}, {"y": x * weight + 2}, "predict"),
                "regress_y": signature({"inputs": serialized}, {"outputs": x * weight + 2}, "regress"),
                "regress_y2": signature({"inputs": serialized}, {"outputs": x * weight + 3}, "regress"),
                "classify_y": signature({"inputs": serialized}, {"scores": (x * weight + 2)[:, None]}, "classify"),
            },
        )
        builder.save()


def write_rows(path):
    import tensorflow as tf

    def spec(shape, dtype, name):
        return tf.TensorSpec(shape, dtype, name=name)

    class Rows(tf.Module):
        @tf.function(input_signature=[spec([None, None], tf.float32, "x")])
        def total(self, x):
            return {"y": tf.reduce_sum(x, axis=1), "batch": tf.fill([tf.shape(x)[0]], tf.shape(x)[0])}

        @tf.function(input_signature=[spec([None], tf.float32, "a"), spec([None], tf.float32, "b")])
        def pair(self, a, b):
            return {"sum": a + b}

        @tf.function(input_signature=[spec([], tf.float32, "x")])
        def scalar_input(self, x):
            return {"y": x * 2}

        @tf.function(input_signature=[spec([None], tf.float32, "x")])
        def scalar_output(self, x):
            return {"y": tf.reduce_sum(x)}

        @tf.function(input_signature=[spec([None], tf.string, "text")])
        def words(self, text):
            return {"count": tf.strings.split(text).row_lengths()}

    rows = Rows()
    names = "pair scalar_input scalar_output words".split()
    tf.saved_model.save(
        rows, str(path), signatures={"serving_default": rows.total, **{name: getattr(rows, name) for name in names}}
    )


def write_vocabulary(path):
    """Write the number of each word's line in a file that travels as an asset; -1 for other words."""
    import tensorflow as tf

    words = path.with_name("words.txt")
    words.parent.mkdir(exist_ok=True)
    words.write_text("one\ntwo words\nd\u0117l\u0117\n", encoding="utf-8")

    class Vocabulary(tf.Module):
        def __init__(self):
            super().__init__()
            lines = tf.lookup.TextFileInitializer(
                str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            )
            self.table = tf.lookup.StaticHashTable(lines, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def look_up(self, text):
            return {"line": self.table.lookup(text)}

    vocabulary = Vocabulary()
    tf.saved_model.save(vocabulary, str(path), signatures=vocabulary.look_up)
    words.unlink()


def write_tokens(path):
    """Write the number of words of each text, counted by an operation of TensorFlow Text."""
    import tensorflow as tf
    import tensorflow_text

    class Tokens(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = tensorflow_text.WhitespaceTokenizer()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def count(self, text):
            # Without the check a scalar ends a stock server.
            return {"count": self.tokenizer.tokenize(tf.ensure_shape(text, [None])).row_lengths()}

    tokens = Tokens()
    tf.saved_model.save(tokens, str(path), signatures=tokens.count)


def _same(tf, dtype):
    @tf.function(input_signature=[tf.TensorSpec([None], dtype, name="x")])
    def same(x):
        return {"y": tf.identity(x)}

    return same


def _rename_operation(file, old, new):
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in saved_model.meta_graphs:
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == old:
                    node.op = new
    file.write_bytes(saved_model.SerializeToString())
