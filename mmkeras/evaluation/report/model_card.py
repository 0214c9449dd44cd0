"""`model_card`: what somebody who finds an exported model must know, as Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.rendering import flattened, render
from mmkeras.evaluation.report.tables import (
    category_table,
    gap_table,
    representation_table,
    retrieval_table,
    summary_rows,
)

CATEGORIES_NAMED = 12  # of the categories; the others are counted
UNTRAINED = "Nothing was trained: it is the published pair as it is, with the index and the examples of these data."
PAIRS = "It was trained on pairs: every picture was shown together with a text that belongs to it."

# What is behind each system: fixed facts, so that no caller has to repeat them.
SYSTEMS = {
    "DualEncoder": {
        "paper": "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
        "link": "https://arxiv.org/abs/2103.00020",
        "supervision": "pairs of a picture and a text",
        "mechanism": "symmetric InfoNCE over the batch, with look-alikes never negatives of each other",
        "trained_on": PAIRS,
    },
    "AdversarialBackprop": {
        "paper": "Park & Im, Image-Text Multi-Modal Representation Learning by Adversarial Backpropagation, 2016",
        "link": "https://arxiv.org/abs/1612.08354",
        "supervision": "categories only, no pairs",
        "mechanism": "a shared category head, and a modality classifier behind a gradient-reversal layer",
        "trained_on": "No pairs were used in training. Pictures with their categories and texts with their categories "
        "came from two streams, each shuffled by itself: nothing told which text belongs to which picture.",
    },
    "ModalityInvariant": {
        "paper": "Liu et al., Modality-Invariant Image-Text Embedding for Image-Sentence Matching, ACM TOMM 2019",
        "link": "https://doi.org/10.1145/3300939",
        "supervision": "pairs of a picture and a text",
        "mechanism": "a triplet loss and a modality classifier, trained in stages",
        "trained_on": PAIRS,
    },
    "CMGAN": {
        "paper": "Peng, Qi & Yuan, CM-GANs: Cross-modal Generative Adversarial Networks for Common Representation "
        "Learning, ACM TOMM 2019",
        "link": "https://arxiv.org/abs/1710.05106",
        "supervision": "pairs of a picture and a text, and categories",
        "mechanism": "weight-shared cross-modal autoencoders against intra- and inter-modality discriminators",
        "trained_on": "It was trained on pairs and categories: every picture was shown together with a text that "
        "belongs to it, with their category, and with a pair of another one.",
    },
    "SoftMask": {
        "paper": "Park & Han, Multi-Modal Representation Learning with Text-Driven Soft Masks, CVPR 2023",
        "link": "https://arxiv.org/abs/2304.00719",
        "supervision": "pairs of a picture and a text",
        "mechanism": "contrastive, matching and masked-language losses with a momentum model, and soft masks on the "
        "picture's regions that the text speaks of",
        "trained_on": PAIRS,
    },
}
DATA_SETS = {
    "glyphs": {
        "description": "images of named Unicode characters drawn in the DejaVu fonts that Matplotlib ships, with "
        "their Unicode names as texts; split by character",
        "licence": "DejaVu fonts licence (Bitstream Vera and Arev; free to use, redistribute and embed); names from "
        "the Unicode Character Database, under the Unicode License",
        "limits": [
            "It knows the words of Unicode names, in English and in any case; it was shown no sentences.",
            "It knows one dark glyph on a light ground, and no photographs, handwriting or colour.",
        ],
    }
}
INTENDED_USE = [
    "Search for images by a text, and for texts by an image, among items like those of the training data.",
    "Embeddings as input to a further model of the same domain.",
]
LIMITS = [
    "A similarity ranks the items of one gallery; it is no probability that an item is right.",
    "Every query has a nearest result, also where nothing fits: ask for a threshold or show several results.",
    "Embeddings of different space ids do not compare: index and queries must come from one export.",
    "The metrics hold for the data they were measured on; for other data measure anew.",
]
CATEGORY_USE = "Naming the category of a picture or a text, among those that it was trained on."
CATEGORY_LIMIT = (
    "Probabilities of categories are not calibrated, and they know no other categories than those of the training: an "
    "item of none of them is still given some."
)


def model_card(
    *,
    name: str,
    system: str,
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
    signatures: Mapping[str, Mapping[str, Mapping[str, str]]],
    preprocessing: Mapping[str, Any],
    space_id: str,
    versions: Mapping[str, str],
    embedding_dim: int | None = None,
    size: Sequence[Mapping[str, Any]] = (),
    label_names: Sequence[str] = (),
    multi_label: bool = False,
    reference: Mapping[str, str] | None = None,
    intended_use: Sequence[str] = (),
    limits: Sequence[str] = (),
    checkpoints: Sequence[Mapping[str, Any]] = (),
    trained: bool = True,
) -> str:
    """Return the model card of an exported model.

    Args:
        name: the model's name, such as `"glyphs"`.
        system: class name of the model, `"DualEncoder"`.
        data: dict with `name` (`"glyphs/train"`) and, for data that mmkeras does not know, `description` and `licence`;
            `evaluated_on`, the split of the metrics, is optional.
        metrics: flat dict, `Evaluation.metrics`; `{}` where the model was not evaluated.
        signatures: dict from a signature's name to a dict with `inputs` and `outputs`, dicts from a tensor's name to
            its type and shape in words: `{"encode_text": {"inputs": {"text": "string[N]"}, "outputs": {...}}}`.
        preprocessing: dict, nested or flat: the configs of the image and the text preprocessing. Strings of more than
            80 characters (the tokenizer's model) are given by their length.
        space_id: string, the digest of weights and preprocessing.
        versions: dict from package to version.
        embedding_dim: length of an embedding, optional.
        size: what `size_table` returned of the run, optional.
        label_names: names of the categories that it was trained on; the first 12 are printed.
        multi_label: whether an item has any number of them.
        reference: dict with `paper`, `link`, `supervision` and `mechanism`, for a system that mmkeras does not know;
            `trained_on`, a sentence, is optional.
        intended_use: further sentences.
        limits: further sentences.
        checkpoints: the published models that it began with: dicts of `name`, `revision`, `licence` and `files`, from a
            file's name to its SHA-256, as `run.json` has them.
        trained: whether anything was trained; a published pair may be exported as it is.

    Returns:
        Markdown, one string.

    Raises:
        MmkerasError: an unknown system without `reference`, or a dict without a key that is needed.

    Example:
        >>> card = model_card(name="glyphs", system="DualEncoder", data={"name": "glyphs/train"}, metrics=metrics,
        ...     signatures={}, preprocessing={}, space_id="5f0c", versions={"keras": "3.15.1"})
    """
    if reference is None and system not in SYSTEMS:
        raise MmkerasError(f"Expected a reference for a system other than {', '.join(SYSTEMS)}. Received: {system=}")
    reference = _complete("reference", reference or SYSTEMS[system], ("paper", "link", "supervision", "mechanism"))
    reference = {"trained_on": f"It was trained on {reference['supervision']}."} | reference
    reference |= {} if trained else {"trained_on": UNTRAINED}
    _complete("data", data, ("name",))
    known = DATA_SETS.get(data["name"].split("/")[0], {})
    data = _complete("data", {"evaluated_on": None} | known | data, ("description", "licence"))
    for signature, tensors in signatures.items():
        _complete(f"signatures[{signature!r}]", tensors, ("inputs", "outputs"))
    measured = "pictures" in metrics  # by `evaluate`; metrics of other origin are listed as they are
    return render(
        __package__,
        "model_card.md.j2",
        name=name,
        system=system,
        reference=reference,
        data=data,
        retrieval=retrieval_table(metrics) if measured else None,
        summary=summary_rows(metrics) if measured else [],
        by_category=category_table(metrics, beside_recall=True) if measured else None,
        representations=representation_table(metrics),
        gap=gap_table(metrics, with_retrieval=False),
        metrics=metrics,
        signatures=signatures,
        sent=_sent(signatures),
        preprocessing={key: _short(value) for key, value in flattened(preprocessing).items()},
        space_id=space_id,
        versions=versions,
        embedding_dim=embedding_dim,
        size=size,
        label_names=label_names[:CATEGORIES_NAMED],
        categories=len(label_names),
        multi_label=multi_label,
        intended_use=[*INTENDED_USE, *([CATEGORY_USE] if label_names else []), *intended_use],
        checkpoints=[_began_with(each) for each in checkpoints],
        limits=[*LIMITS, *([CATEGORY_LIMIT] if label_names else []), *data.get("limits", ()), *limits],
    )


def _began_with(checkpoint):
    """A published model as the card names it."""
    weights = {name: digest for name, digest in checkpoint["files"].items() if name.endswith((".safetensors", ".npz"))}
    name = checkpoint["name"]
    at = f" at commit {checkpoint['revision'][:12]}" if checkpoint["revision"] else ""
    return {
        "name": f"{Path(name).name if Path(name).exists() else name}{at}",  # a path of somebody's disk tells nobody
        "licence": checkpoint["licence"] or "not stated where it lies; ask its owner",
        "weights": [f"{name}: SHA-256 {digest}" for name, digest in weights.items()],
    }


def _sent(signatures):
    """What callers send of a picture and of a text, in words."""
    picture = "feature vectors of images" if "encode_features" in signatures else "encoded images"
    text = "feature vectors of texts" if "encode_text_features" in signatures else "plain strings"
    return f"{picture} and {text}"


def _complete(name, given, keys):
    """`given`, where it has all keys."""
    missing = [key for key in keys if key not in given]
    if missing:
        raise MmkerasError(f"Expected {', '.join(keys)} in {name}. Received: {sorted(given)}, without {missing[0]}")
    return given


def _short(value):
    """A setting as it is, or the length of a string that nobody reads."""
    return f"({len(value)} characters)" if isinstance(value, (str, bytes)) and len(value) > 80 else value
