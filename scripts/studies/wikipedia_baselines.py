"""What do plain methods reach on Wikipedia's features? The baselines beside which CM-GANs are measured.

    python scripts/studies/wikipedia_baselines.py                             every method, on $MMKERAS_DATA/wikipedia
    python scripts/studies/wikipedia_baselines.py --data wikipedia/features.npz cca semantic
    pip install "mmkeras[studies]"                                            what deep-cca takes: cca-zoo, PyTorch

Any feature set that `mmkeras.data.load_features` reads will do. A method is fitted on train and measured on dev; what
it has to choose it chooses on train, by cross-validation or on a tenth of it that is held out. Success is a Markdown
table of mean average precisions: raw, with standardised queries (in the manner of the CM-GANs authors), and to all
items. The whole takes less than a minute on one core.
"""

import argparse
import os
import sys
from pathlib import Path

from ablation import mean_and_deviation  # puts the tree that the study stands in on the path

SHOWN = {
    "i2t": "image_to_text_map_none",
    "t2i": "text_to_image_map_none",
    "i2t, queries std.": "image_to_text_map_query",
    "t2i, queries std.": "text_to_image_map_query",
    "i2all, std.": "image_to_all_map_both",
    "t2all, std.": "text_to_all_map_both",
}
NULL = 1e-6  # a direction of less than this share of the largest deviation is no direction but rounding
DEEP = {"width": 512, "batch_size": 512, "learning_rate": 1e-3, "epochs": 100}


def main():
    """Fit and measure the methods, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--data", type=Path, help="a feature set (default: $MMKERAS_DATA/wikipedia/features.npz)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", default="dev", choices=("dev", "test"), help="what is measured on (default: dev)")
    options = parser.parse_args()
    if unknown := set(options.methods) - set(METHODS):
        parser.error(f"no method {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    if options.data is None and not os.environ.get("MMKERAS_DATA"):
        parser.error("MMKERAS_DATA is unset: name the feature set with --data")
    source = options.data or Path(os.environ["MMKERAS_DATA"]) / "wikipedia" / "features.npz"

    from mmkeras.data.features import load_features
    from mmkeras.errors import MmkerasError
    from mmkeras.metrics import representation_maps

    try:
        train, measured = load_features(source, "train"), load_features(source, options.split)
    except MmkerasError as error:
        parser.error(str(error))
    print(f"{measured.name}, {len(measured.texts)} pairs; fitted on {len(train.texts)}:\n")
    print(f"| method | runs | {' | '.join(SHOWN)} |")
    print("|---|---:|" + "---:|" * len(SHOWN))
    for name in options.methods or METHODS:
        title, fit, random = METHODS[name]
        found = []
        for seed in options.seeds if random else options.seeds[:1]:
            images, texts = fit(train, measured, seed)
            found.append(representation_maps(images, texts, measured.label, measured.text_label))
        cells = [mean_and_deviation([maps[key] for maps in found]) for key in SHOWN.values()]
        print(f"| {name}: {title} | {len(found)} | {' | '.join(cells)} |", flush=True)


def _chance(train, measured, seed):
    import numpy as np

    random = np.random.default_rng(seed)
    return [random.normal(size=(len(rows), 64)) for rows in (measured.images, measured.texts)]


def _cca(train, measured, seed):
    return [project(rows) for project, rows in zip(fit_cca(train.images, train.texts), _both(measured), strict=True)]


def fit_cca(one, other):
    """Fit linear CCA in closed form.

    Args:
        one: array (N, D).
        other: array (N, E).

    Returns:
        two functions from rows of either to canonical variates, of as many dimensions as both have directions. Over the
        rows that were fitted on, variates have mean 0 and deviation 1, and are uncorrelated but for those of one place.
    """
    import numpy as np

    means, whitening, white = [], [], []
    for rows in (np.asarray(one, np.float64), np.asarray(other, np.float64)):
        means.append(rows.mean(axis=0))
        _, deviation, directions = np.linalg.svd(rows - means[-1], full_matrices=False)
        # Histograms and topics sum to 1: one direction of theirs has no deviation at all.
        kept = deviation > NULL * deviation[0]
        whitening.append(directions[kept].T / deviation[kept])
        white.append((rows - means[-1]) @ whitening[-1])
    left, correlations, right = np.linalg.svd(white[0].T @ white[1], full_matrices=False)
    scale = np.sqrt(len(one))
    rotations = left[:, : len(correlations)] * scale, right[: len(correlations)].T * scale
    return [
        lambda rows, mean=mean, matrix=matrix @ rotation: (np.asarray(rows, np.float64) - mean) @ matrix
        for mean, matrix, rotation in zip(means, whitening, rotations, strict=True)
    ]


def _semantic(train, measured, seed):
    """Posteriors of the categories by logistic regression, its strength by cross-validated likelihood on train."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = []
    for rows, label, asked in (
        (train.images, train.label, measured.images),
        (train.texts, train.text_label, measured.texts),
    ):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        grid = {"logisticregression__C": [10.0**power for power in range(-4, 3)]}
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=folds).fit(rows, label)
        found.append(search.predict_proba(asked))
    return found


def _deep_cca(train, measured, seed):
    """Deep CCA, the epoch of the largest correlation on a tenth of train; linear CCA on what it encodes."""
    try:
        import torch
        from cca_zoo.deep import DCCA
    except ImportError as error:
        sys.exit(f'deep-cca takes cca-zoo and PyTorch: pip install "mmkeras[studies]" ({error})')
    import numpy as np
    from sklearn.preprocessing import StandardScaler

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    scalers = [StandardScaler().fit(rows) for rows in _both(train)]
    train_views, asked = (
        [
            torch.as_tensor(scaler.transform(rows), dtype=torch.float32)
            for scaler, rows in zip(scalers, data, strict=True)
        ]
        for data in (_both(train), _both(measured))
    )
    dimensions = min(view.shape[1] for view in train_views) - 1
    model = DCCA(dimensions, [_perceptron(view.shape[1], dimensions) for view in train_views], DEEP["learning_rate"])
    order = random.permutation(len(train.texts))
    held_out, fitted = np.split(order, [len(order) // 10])
    optimizer = model.configure_optimizers()
    best = float("inf"), None
    for _ in range(DEEP["epochs"]):
        model.train()
        random.shuffle(fitted)
        for start in range(0, len(fitted) - DEEP["batch_size"] + 1, DEEP["batch_size"]):
            rows = fitted[start : start + DEEP["batch_size"]]
            optimizer.zero_grad()
            model.loss({"views": [view[rows] for view in train_views]})["objective"].backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            loss = float(model.loss({"views": [view[held_out] for view in train_views]})["objective"])
        if loss < best[0]:
            best = loss, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(best[1])
    with torch.no_grad():
        encoded, encoded_asked = ([part.numpy() for part in model(views)] for views in (train_views, asked))
    return [project(rows) for project, rows in zip(fit_cca(*encoded), encoded_asked, strict=True)]


def _perceptron(inputs, outputs):
    from torch import nn

    width = DEEP["width"]
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
    )


def _both(data):
    return data.images, data.texts


# A method: what it is, how representations of the measured split are had from train, and whether seeds change them.
METHODS = {
    "chance": ("random vectors", _chance, True),
    "cca": ("linear CCA, all directions", _cca, False),
    "semantic": ("semantic matching, logistic regression a modality", _semantic, False),
    "deep-cca": ("deep CCA, then linear CCA", _deep_cca, True),
}


if __name__ == "__main__":
    main()
