"""What every encoder ends with, and how one is built by its name."""

import keras

from mmkeras.errors import MmkerasError

INPUT_NORM = "input_norm"  # the first layer of an MLP over feature vectors; what stands before it makes them


def embedding_head(features, embedding_dim, batch_norm=True):
    """Project features to the shared space.

    Args:
        features: Keras tensor (B, W).
        embedding_dim: D; `None` leaves the features as they are, for a system that projects them itself.
        batch_norm: whether batch statistics centre and scale what is projected; without it the projection has a bias.

    Returns:
        Keras tensor (B, D), float32 under any dtype policy, unit L2 norm; or (B, W), float32, as the features are.
    """
    if embedding_dim is None:
        return keras.layers.Identity(dtype="float32", name="features")(features)
    projected = keras.layers.Dense(embedding_dim, use_bias=not batch_norm, name="projection")(features)
    if batch_norm:
        # Centred and scaled by the modality's own batch statistics, which takes out the offset that two encoders start
        # with between them: embeddings of each modality fill the sphere, not a cone of it.
        projected = keras.layers.BatchNormalization(
            momentum=0.9, center=False, scale=False, dtype="float32", name="projection_norm"
        )(projected)
    # float32, also under mixed precision: similarities near 1 differ by less than float16 can tell.
    return keras.layers.UnitNormalization(dtype="float32", name="unit_norm")(projected)


def hidden_layers(features, hidden, dropout):
    """Normalise feature vectors and put them through an MLP, ready for `embedding_head`.

    Args:
        features: Keras tensor (B, W).
        hidden: units of each hidden layer; none leaves the normalised features.
        dropout: rate after each hidden layer.

    Returns:
        Keras tensor (B, `hidden[-1]`), or (B, W).
    """
    x = keras.layers.LayerNormalization(epsilon=1e-6, name=INPUT_NORM)(features)
    for index, units in enumerate(hidden):
        x = keras.layers.Dense(units, activation="gelu", name=f"dense_{index}")(x)
        x = keras.layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return x


def feature_mlp(modality, features, hidden, embedding_dim, dropout, scale, name):
    """An encoder of feature vectors, the same for either modality.

    Args:
        modality: `image` or `text`, the name of its input.
        features: length of the vectors, F.
        hidden: units of each hidden layer.
        embedding_dim: D, or `None`: see `embedding_head`; without `hidden` the vectors then pass through as they are.
        dropout: rate after each hidden layer.
        scale: what the vectors are multiplied by first, more than 0.
        name: the model's name.

    Returns:
        `keras.Model` from float (B, F). It has no tokens.

    Raises:
        MmkerasError: a scale that is not more than 0.
    """
    if not scale > 0:
        raise MmkerasError(f"Expected a scale of more than 0. Received: scale={scale}")
    vectors = x = keras.Input((features,), name=modality)
    if scale != 1:
        x = keras.layers.Rescaling(scale, dtype="float32", name="scale")(x)
    as_they_are = not hidden and embedding_dim is None
    x = x if as_they_are else hidden_layers(x, hidden, dropout)
    return keras.Model(vectors, {"embedding": embedding_head(x, embedding_dim)}, name=name)


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
