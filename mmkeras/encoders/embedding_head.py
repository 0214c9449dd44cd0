"""What every encoder ends with, and how one is built by its name."""

import keras

from mmkeras.encoders.feature_scaling import FeatureScaling
from mmkeras.errors import MmkerasError
from mmkeras.layers.fused.fused_layer_normalization import FusedLayerNormalization

SCALINGS = ("layer", "data", "root")
PROJECTION = "projection"  # of a Dense among others: its name, under which it is saved, is all that tells it


@keras.saving.register_keras_serializable("mmkeras")
class FeatureNorm(FusedLayerNormalization):
    """The layer normalisation that an MLP over feature vectors begins with: what stands before it makes the features.

    Args:
        **kwargs: see `FusedLayerNormalization`.
    """


def embedding_head(features, embedding_dim, batch_norm=True, beside=None):
    """Project features to the shared space.

    Args:
        features: Keras tensor (B, W).
        embedding_dim: D; `None` leaves the features as they are, for a system that projects them itself.
        batch_norm: whether batch statistics centre and scale what is projected; without it the projection has a bias.
        beside: Keras tensor (B, D) that is added to the projection; `None` adds nothing.

    Returns:
        Keras tensor (B, D), float32 under any dtype policy, unit L2 norm; or (B, W), float32, as the features are.
    """
    if embedding_dim is None:
        return keras.layers.Identity(dtype="float32", name="features")(features)
    projected = keras.layers.Dense(embedding_dim, use_bias=not batch_norm, name=PROJECTION)(features)
    projected = projected if beside is None else keras.layers.Add(dtype="float32", name="sum")([projected, beside])
    if batch_norm:
        # Centred and scaled by the modality's own batch statistics, which takes out the offset that two encoders start
        # with between them: embeddings of each modality fill the sphere, not a cone of it.
        projected = keras.layers.BatchNormalization(
            momentum=0.9, center=False, scale=False, dtype="float32", name="projection_norm"
        )(projected)
    # float32, also under mixed precision: similarities near 1 differ by less than float16 can tell.
    return keras.layers.UnitNormalization(dtype="float32", name="unit_norm")(projected)


def hidden_layers(features, hidden, dropout, feature_dropout=0.0, scaling="layer"):
    """Normalise feature vectors and put them through an MLP, ready for `embedding_head`.

    Args:
        features: Keras tensor (B, W).
        hidden: units of each hidden layer; none leaves the normalised features.
        dropout: rate after each hidden layer.
        feature_dropout: rate on the normalised features themselves.
        scaling: how they are normalised, one of `SCALINGS`: `layer`, a layer normalisation; `data`, each number by its
            mean and deviation over the training data; `root`, the same of their roots, see `FeatureScaling`.

    Returns:
        Keras tensor (B, `hidden[-1]`), or (B, W).

    Raises:
        MmkerasError: another scaling.
    """
    if scaling not in SCALINGS:
        raise MmkerasError(f"Expected a scaling of {', '.join(SCALINGS)}. Received: scaling={scaling!r}")
    if scaling == "layer":
        x = FeatureNorm(epsilon=1e-6, name="input_norm")(features)
    else:
        x = FeatureScaling(root=scaling == "root", name="input_scaling")(features)
    x = keras.layers.Dropout(feature_dropout, name="feature_dropout")(x) if feature_dropout else x
    for index, units in enumerate(hidden):
        x = keras.layers.Dense(units, activation="gelu", name=f"dense_{index}")(x)
        x = keras.layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return x


def build_by_kind(builders, kind, settings):
    """Build the encoder that `kind` names, with an error that lists what there is.

    Raises:
        MmkerasError: unknown kind, or settings that its builder does not take.
    """
    if kind not in builders:
        raise MmkerasError(f"Expected an encoder kind of {', '.join(sorted(builders))}. Received: kind={kind!r}")
    try:
        return builders[kind](**settings)
    except TypeError as error:
        raise MmkerasError(f"Encoder {kind!r} does not take these settings: {error}") from error
