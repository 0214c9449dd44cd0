import shutil

import keras
import pytest

from mmkeras.training import Run

LABELS = ("arrow", "Straße", "雪")  # in the head's order, which is not the alphabet's


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    """A copy of the finished run that a test may spoil."""
    return Run(shutil.copytree(tiny_run.folder, tmp_path / "run"))


@pytest.fixture(scope="session")
def build_labelled_model():
    """A function that builds an untrained model with every signature over pictures, 16 x 16, D = 8, C = 3."""
    from mmkeras.encoders.image import build_image_encoder
    from mmkeras.encoders.text import build_text_encoder
    from mmkeras.models.adversarial_backprop import AdversarialBackprop
    from mmkeras.preprocessing.image import ImagePreprocessor
    from mmkeras.preprocessing.text import TextPreprocessor

    texts = ["latin small letter a", "greek capital omega", "cyrillic letter ze", "upwards arrow", "leftwards arrow"]
    text = TextPreprocessor.train(texts, 60, 6)

    def build(**arguments):
        keras.utils.set_random_seed(0)
        return AdversarialBackprop(
            build_image_encoder("conv", height=16, width=16, channels=3, widths=[4, 8], embedding_dim=8),
            build_text_encoder(
                "text_cnn",
                vocabulary_size=text.vocabulary_size,
                sequence_length=6,
                width=8,
                kernel_sizes=[1, 2],
                filters=8,
                embedding_dim=8,
            ),
            ImagePreprocessor(16, 16),
            text,
            label_names=LABELS,
            **arguments,
        )

    return build


@pytest.fixture(scope="session")
def labelled_version(build_labelled_model, tmp_path_factory):
    """A version folder with every signature over pictures; read it only."""
    from mmkeras.export import export_saved_model

    folder = tmp_path_factory.mktemp("savedmodels") / "labelled" / "1"
    export_saved_model(build_labelled_model(), folder)
    return folder


@pytest.fixture(scope="session")
def labelled_signatures(labelled_version):
    import tensorflow as tf

    return tf.saved_model.load(str(labelled_version)).signatures
