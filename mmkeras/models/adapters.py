"""Low-rank adapters (LoRA): what is trained of a pretrained network in place of its own weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.models.layer_tree import layers_within

if TYPE_CHECKING:
    from mmkeras.models.staged_model import StagedModel

ADAPTED = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding)
KERNELS = ("kernel", "embeddings")  # what is adapted, by the names of the weights


def add_adapters(model: StagedModel, rank: int, seed: int = 0) -> None:
    """Put adapters beside the kernels of a model's pretrained networks, by Keras' own `enable_lora`.

        W + A B,    A (n, rank) random, B (rank, m) zero at first

    Each `Dense`, `EinsumDense` and `Embedding` of the parts `image_backbone` and `text_backbone` gets one. A network of
    convolutions has none of them, and is to stay frozen. Where a
    stage trains such a part, it trains the adapters alone, and with them the heads: the network can go a few directions
    from where it is, and forgets little. A model begins as it was, for A B is zero.

    Args:
        model: `StagedModel` with a pretrained network.
        rank: rank of A B, 1 or more.
        seed: of the start of A.

    Raises:
        MmkerasError: no pretrained network, or none with such layers.

    Reference:
        Hu et al. 2022 (LoRA, arXiv 2106.09685), section 4.1.
    """
    networks = _networks(model)
    if not networks:
        raise MmkerasError(
            f"Expected a model with a pretrained network for adapters of rank {rank}. Received: {type(model).__name__} "
            "of encoders that have none; they are trained whole"
        )
    adapted = {
        name: [layer for layer in layers_within(network) if isinstance(layer, ADAPTED)]
        for name, network in networks.items()
    }
    if not any(adapted.values()):
        raise MmkerasError(
            f"Expected a network with Dense, EinsumDense or Embedding layers for adapters of rank {rank}, as "
            f"transformers have. Received: {', '.join(networks)}, without any of them"
        )
    for name, network in networks.items():
        trainable = network.trainable
        for place, layer in enumerate(adapted[name]):
            layer.enable_lora(rank, a_initializer=keras.initializers.HeUniform(seed + place))
        network.trainable = trainable
        train_adapters_alone(network)


def train_adapters_alone(network: keras.layers.Layer) -> None:
    """Freeze all weights but the adapters of a network that is trained; one without adapters is trained whole.

    Args:
        network: a part of a model, whose `trainable` was just set.
    """
    if network.trainable and any(_is_adapter(weight) for weight in network.weights):
        for weight in network.weights:
            weight.trainable = _is_adapter(weight)


def folded(model: StagedModel) -> StagedModel:
    """Return the model with its adapters added to the kernels, and without adapters: of the same outputs to rounding.

    Args:
        model: `StagedModel`; one without adapters is returned as it is.

    Returns:
        `StagedModel` of the layers and weights that it had before `add_adapters`, not compiled.
    """
    if not any(_is_adapter(weight) for weight in model.weights):
        return model
    changes = {}
    for layer in layers_within(model):
        if isinstance(layer, ADAPTED) and layer.lora_enabled:
            own = {weight.name: weight for weight in layer.weights}
            name = next(name for name in KERNELS if name in own)
            product = ops.matmul(own[f"lora_{name}_a"].value, own[f"lora_{name}_b"].value)
            changes[id(own[name])] = layer.lora_alpha / layer.lora_rank * product
    plain = type(model).from_config(_without_adapters(model.get_config()))
    own_weights = [weight for weight in model.weights if not _is_adapter(weight)]
    for target, weight in zip(plain.weights, own_weights, strict=True):
        target.assign(weight.value + changes[id(weight)] if id(weight) in changes else weight.value)
    return plain


def adapters_are_trained(model: StagedModel) -> bool:
    """Return whether the model, after `add_adapters` and as it is set now, trains a pretrained network.

    Raises:
        MmkerasError: one that has no adapters, and would be trained whole.
    """
    trained = {name: network for name, network in _networks(model).items() if network.trainable}
    for name, network in trained.items():
        if network.trainable_weights and not any(_is_adapter(weight) for weight in network.weights):
            raise MmkerasError(
                f"Expected a trained network with Dense, EinsumDense or Embedding layers beside lora_rank, as "
                f"transformers have. Received: {name}, without any of them. Leave it frozen, or lora_rank out"
            )
    return bool(trained)


def _networks(model):
    return {name: part for name, part in model.parts.items() if name.endswith("_backbone")}


def _is_adapter(weight):
    return weight.name.startswith("lora_")


def _without_adapters(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _without_adapters(one) for key, one in config.items() if key not in ("lora_rank", "lora_alpha")}
    return [_without_adapters(one) for one in config] if isinstance(config, (list, tuple)) else config
