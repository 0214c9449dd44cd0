"""The modality probe: a fresh classifier, and how well it tells the embeddings of pictures from those of texts."""

import warnings
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mmkeras.errors import MmkerasError
from mmkeras.metrics.distributions import check_clouds

Kind: TypeAlias = Literal["mlp", "linear"]

KINDS = get_args(Kind)


def modality_probe(
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
    image_group: ArrayLike | None = None,
    text_group: ArrayLike | None = None,
    kind: Kind = "mlp",
    folds: int = 5,
    seeds: int = 3,
    rows: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Held-out accuracy of a fresh classifier of the modality: 0.5 is chance, 1 two modalities fully apart.

    The classifier that a model was trained against is no evidence: it may be too weak, or lag behind the encoders.
    This one is trained anew on the embeddings as they are, by a fixed protocol, so that figures compare:

    - `"mlp"`: hidden layers of 128 and 64, ReLU, Adam, L2 1e-3, at most 60 epochs (fewer where its loss stands still);
      `"linear"`: logistic regression with scikit-learn's L2.
    - For each seed as many rows of both modalities, at most `rows`, are drawn; then every one is classified by a
      classifier of the other folds, on inputs standardised by those folds.
    - All rows of a group are in one fold, and folds have as nearly as can be the same share of both modalities. The
      groups are what rows have in common besides the modality (the character, its look-alikes): across folds, a
      classifier could go by what it remembers of the group.

    Pass one picture an item: several of one item are near copies. One thread does the arithmetic, which at this size is
    as fast as many, does not stall on a busy machine, and gives the same figure on any number of cores.

    Args:
        image_embeddings: float array (N, D), finite, of data that the encoders were not trained on.
        text_embeddings: float array (M, D), finite.
        image_group: integers or strings (N,), with `text_group`; without both, each row is a group of its own.
        text_group: integers or strings (M,).
        kind: `"mlp"` or `"linear"`.
        folds: at least 2; with fewer groups than that, as many as there are groups.
        seeds: repetitions, each with another draw, other folds and other initial weights.
        rows: most rows of each modality in one repetition.
        seed: that of the first repetition; the others follow on.

    Returns:
        Two floats: the mean accuracy over the seeds, in [0, 1], and its standard deviation (0 for one seed).

    Raises:
        MmkerasError: on shapes that do not fit, an embedding that is not finite, fewer than two groups, or groups such
            that the training folds lack a modality.

    Example:
        >>> accuracy, deviation = modality_probe(images, texts, data.image_id, data.text_image_id)

    Reference:
        Ben-David et al., Analysis of representations for domain adaptation, NIPS 2006: the error of a classifier of the
        domain as a distance of the domains.
    """
    if kind not in KINDS:
        raise MmkerasError(f"Expected kind to be one of {', '.join(KINDS)}. Received: {kind=}")
    for name, value, least in (("folds", folds, 2), ("seeds", seeds, 1), ("rows", rows, 2)):
        if value < least:
            raise MmkerasError(f"Expected {name} to be at least {least}. Received: {name}={value}")
    clouds = check_clouds("image_embeddings", image_embeddings, "text_embeddings", text_embeddings)
    groups = group_codes(image_group, text_group, *map(len, clouds))
    size = min(rows, *map(len, clouds))
    modality = np.repeat([0, 1], size)
    accuracies = []
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the protocol's
        for current in range(seed, seed + seeds):
            generator = np.random.default_rng(current)
            drawn = [generator.permutation(len(cloud))[:size] for cloud in clouds]
            embeddings = np.concatenate([cloud[chosen] for cloud, chosen in zip(clouds, drawn, strict=True)])
            group = np.concatenate([codes[chosen] for codes, chosen in zip(groups, drawn, strict=True)])
            fold = _folds(modality, group, folds, generator)
            accuracies.append(_accuracy(embeddings, modality, fold, kind, current))
    return float(np.mean(accuracies)), float(np.std(accuracies, ddof=1)) if seeds > 1 else 0.0


def proxy_a_distance(accuracy: float) -> float:
    """Distance of two distributions by the error of a classifier between them: 2 (1 - 2 error) = 4 accuracy - 2.

    Args:
        accuracy: held-out, in [0, 1].

    Returns:
        A float: 0 at chance, 2 for distributions fully apart; by accident a little below 0.

    Raises:
        MmkerasError: an accuracy out of [0, 1].

    Example:
        >>> proxy_a_distance(0.75)
        1.0

    Reference:
        Ben-David et al., NIPS 2006; the factors as in Ganin et al., JMLR 2016, arXiv 1505.07818.
    """
    if not 0 <= accuracy <= 1:
        raise MmkerasError(f"Expected accuracy in [0, 1]. Received: {accuracy=}")
    return float(2 * (1 - 2 * (1 - accuracy)))


def group_codes(
    image_group: ArrayLike | None, text_group: ArrayLike | None, images: int, texts: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the groups of both modalities as integers from 0 in one numbering; without groups, a number a row.

    Args:
        image_group: integers or strings (images,), or `None`.
        text_group: integers or strings (texts,), or `None` where `image_group` is.
        images: how many images there are.
        texts: how many texts there are.

    Raises:
        MmkerasError: one without the other, other lengths or types than these, or only one group in all.
    """
    if image_group is None and text_group is None:
        return np.arange(images), np.arange(images, images + texts)
    given = []
    for name, groups, length in (("image_group", image_group, images), ("text_group", text_group, texts)):
        array = np.asarray(groups)
        if array.shape != (length,) or array.dtype.kind not in "iuUS":
            raise MmkerasError(
                f"Expected {name} as integers or strings of shape ({length},), one for each embedding. "
                f"Received: shape {array.shape}, dtype {array.dtype}"
            )
        given.append(array)
    if (given[0].dtype.kind in "iu") != (given[1].dtype.kind in "iu"):
        raise MmkerasError(
            f"Expected image_group and text_group of one type. Received: {given[0].dtype} and {given[1].dtype}"
        )
    names, codes = np.unique(np.concatenate(given), return_inverse=True)
    if len(names) < 2:
        raise MmkerasError(f"Expected at least 2 groups. Received: {names[0]} only, in image_group and text_group")
    return codes[:images], codes[images:]


def _folds(modality, group, folds, generator):
    """The fold of each row. Groups are dealt out like cards, in the order of what they hold of each modality.

    Unequal shares of the modalities would put the classifier of an overlap below chance: what its training folds have
    too much of, the fold left out has too little of.
    """
    _, group = np.unique(group, return_inverse=True)
    texts = np.bincount(group, weights=modality)
    images = np.bincount(group) - texts
    shuffled = generator.permutation(len(texts))
    dealt = shuffled[np.lexsort((texts[shuffled], (images - texts)[shuffled]))]
    fold = np.empty(len(texts), int)
    fold[dealt] = np.arange(len(texts)) % folds
    return fold[group]


def _accuracy(embeddings, modality, fold, kind, seed):
    """Share of rows that classifiers trained on the other folds name right."""
    right = 0
    for held_out in np.unique(fold):
        train, test = fold != held_out, fold == held_out
        if len(np.unique(modality[train])) < 2:
            raise MmkerasError(
                "Expected pictures and texts in the training folds of a modality probe. Received: groups of which one "
                "fold holds a modality as a whole; pass more items, or more folds"
            )
        scaler = StandardScaler().fit(embeddings[train])
        classifier = _classifier(kind, seed)
        classifier.fit(scaler.transform(embeddings[train]).astype(np.float32), modality[train])
        predicted = classifier.predict(scaler.transform(embeddings[test]).astype(np.float32))
        right += np.sum(predicted == modality[test])
    return right / len(modality)


def _classifier(kind, seed):
    if kind == "linear":
        return LogisticRegression(max_iter=1000)
    return MLPClassifier((128, 64), alpha=1e-3, max_iter=60, random_state=seed)
