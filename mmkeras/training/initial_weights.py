"""Beginning a training where another run ended, with its weights and its tokenizer."""

from mmkeras.encoders.position_embedding import resize_position_embedding
from mmkeras.errors import MmkerasError
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.preset import Preset
from mmkeras.training.recipe import Recipe
from mmkeras.training.run import Run


def initial_model(recipe: Recipe) -> ImageTextModel | None:
    """Return the trained model that a recipe begins with; `None` where it begins with random weights.

    Raises:
        MmkerasError: no run, or one that has not finished; a tokenizer that the preset has no room for.
    """
    if not recipe.initial_weights:
        return None
    model = Run(recipe.initial_weights).load_model()
    settings, tokenizer = Preset.load(recipe.preset).text_preprocessor, model.text_preprocessor
    most, length = settings.get("vocabulary_size"), settings.get("sequence_length")
    pieces, own_length = (getattr(tokenizer, name, None) for name in ("vocabulary_size", "sequence_length"))
    if (length != own_length) or (most and pieces and pieces > most):
        raise MmkerasError(
            f"Expected initial_weights of a run whose tokenizer fits the preset {recipe.preset}: texts of {length} ids "
            f"of at most {most}. Received: initial_weights={recipe.initial_weights}, texts of {own_length} ids of "
            f"{pieces}"
        )
    return model


def begin_with(model: ImageTextModel, start: ImageTextModel, name: str) -> None:
    """Give a model that was just built the weights of a trained one, but for what belongs to one training.

    Position embeddings of patches are resized where the two take pictures of different sizes.

    Args:
        model: `ImageTextModel` of the recipe's preset, with the tokenizer of `start`.
        start: what `initial_model` returned.
        name: its run's name, for messages.

    Raises:
        MmkerasError: another system, tokenizer, categories or sizes; the model is then as it was.
    """
    for what, own, given in (
        ("system", type(model).__name__, type(start).__name__),
        ("tokenizer", _config(model), _config(start)),
        ("categories", (tuple(model.label_names), model.multi_label), (tuple(start.label_names), start.multi_label)),
    ):
        if own != given:
            shown = (own, given) if what == "system" else ("this one's", "another")
            raise MmkerasError(
                f"Expected initial_weights of a run with the same {what}: {shown[0]}. "
                f"Received: initial_weights={name}, {shown[1]}"
            )
    targets, values = _lasting(model), [(weight, weight.numpy()) for weight in _lasting(start)]
    patches, old_patches = (each.image_encoder.patches for each in (model, start))
    if patches and old_patches:
        place = next(row for row, (weight, _) in enumerate(values) if weight is old_patches.position_embedding)
        resized = resize_position_embedding(values[place][1], old_patches.grid, patches.grid, patches.leading)
        values[place] = (old_patches.position_embedding, resized)
    if len(targets) != len(values):
        raise MmkerasError(
            f"Expected initial_weights of a run of this preset, with {len(targets)} weights. "
            f"Received: initial_weights={name}, with {len(values)}"
        )
    for target, (weight, value) in zip(targets, values, strict=True):
        if tuple(target.shape) != value.shape:
            raise MmkerasError(
                f"Expected initial_weights of a run of this preset, with {target.path} of shape {tuple(target.shape)}. "
                f"Received: initial_weights={name}, with {weight.path} of shape {value.shape}"
            )
    for target, (_, value) in zip(targets, values, strict=True):
        target.assign(value)


def _config(model):
    return None if model.text_preprocessor is None else model.text_preprocessor.get_config()


def _lasting(model):
    """The weights of a model that another training can begin with."""
    of_training = {id(weight) for weights in model.kept_for_training().values() for weight in weights}
    return [weight for weight in model.weights if id(weight) not in of_training]
