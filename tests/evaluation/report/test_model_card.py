import pytest

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.evaluate import evaluate
from mmkeras.evaluation.report.model_card import SYSTEMS, model_card


@pytest.fixture
def card(evaluation):
    def card(**changes):
        arguments = {
            "name": "glyphs",
            "system": "DualEncoder",
            "data": {"name": "glyphs/train", "evaluated_on": "glyphs/test"},
            "metrics": evaluation.metrics,
            "signatures": {"encode_text": {"inputs": {"text": "string[N]"}, "outputs": {"embedding": "float[N, 64]"}}},
            "preprocessing": {"image": {"height": 32}, "text": {"model": "b" * 5000, "normal|form": "NFKC|lower"}},
            "space_id": "5f0c",
            "versions": {"keras": "3.15.1"},
        }
        return model_card(**arguments | changes)

    return card


def test_a_card_says_what_is_needed(card):
    text = card()
    for words in (
        "# glyphs\n",
        "arxiv.org/abs/2103.00020",
        "DejaVu fonts licence",
        "| Space id | `5f0c` |",
        "Measured on `glyphs/test`: 4 images, 4 texts.",
        "| Text to image | This model | 75.0% | 100.0% | 100.0% | 1 | 1.2 |",
        "| `encode_text` | `text: string[N]` | `embedding: float[N, 64]` |",
        "| `image.height` | `32` |",
        "| `text.model` | `(5000 characters)` |",
        "| `text.normal\\|form` | `NFKC\\|lower` |",
        "| keras | 3.15.1 |",
    ):
        assert words in text
    assert "\n\n\n" not in text


def test_re_ranking_stands_beside_what_it_began_with(card, reranked):
    text = card(metrics=reranked.metrics)
    assert "| Image to text | Equals count, 2 re-ranked | 50.0% |" in text
    assert "- rsum: 550.0 (of 600); re-ranked 4" in text
    assert "Re-ranked are the 2 best by embedding of each query" in text
    assert "\n\n\n" not in text
    assert "e-ranked" not in card()


@pytest.mark.parametrize("with_match", [False, True])
def test_every_table_row_has_its_columns(card, with_match, reranked):
    for block in card(name="a|b", **({"metrics": reranked.metrics} if with_match else {})).split("\n\n"):
        rows = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1, block


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_every_system_has_its_paper(card, system):
    assert SYSTEMS[system]["link"] in card(system=system)


def test_unknown_systems_and_data_must_be_described(card):
    with pytest.raises(MmkerasError, match="system='Other'"):
        card(system="Other")
    with pytest.raises(MmkerasError, match="without licence"):
        card(data={"name": "shop/train", "description": "products"})
    with pytest.raises(MmkerasError, match=r"signatures\['match'\].*without outputs"):
        card(signatures={"match": {"inputs": {}}})
    described = {"name": "shop/train", "description": "products <b>", "licence": "ours"}
    reference = {"paper": "P", "link": "L", "supervision": "S", "mechanism": "M"}
    text = card(system="Other", data=described, reference=reference)
    assert "products \\<b\\>" in text and "Unicode names" not in text


def test_a_model_that_was_not_evaluated(card):
    assert "This model was not evaluated." in card(metrics={})
    assert "| `image_to_text_map` | 0.5 |" in card(metrics={"image_to_text_map": 0.5})


def test_without_pairs_the_card_says_so(card):
    text = card(system="AdversarialBackprop")
    assert "\n## What it was trained on\n\nNo pairs were used in training." in text
    for system in set(SYSTEMS) - {"AdversarialBackprop"}:
        assert "No pairs" not in card(system=system) and "trained on pairs" in card(system=system)
    reference = {"paper": "P", "link": "L", "supervision": "clicks", "mechanism": "M"}
    assert "It was trained on clicks." in card(system="Other", reference=reference)


def test_categories_are_counted_and_the_first_named(card):
    text = card(label_names=tuple(f"c{number}" for number in range(20)))
    assert "It knows 20 categories, one an item: `c0`, `c1`," in text and "`c11`, ...\n" in text and "c12" not in text
    assert "- Naming the category" in text and "- Probabilities of categories are not calibrated" in text
    text = card(label_names=("a|b", "dog"), multi_label=True)
    assert "It knows 2 categories, any number of them an item: `a\\|b`, `dog`\n" in text
    assert "categories" not in card().replace("Categories", "")


def test_average_precision_stands_beside_recall(card, evaluation):
    metrics = evaluation.metrics | {"text_to_image_map": 0.5512, "image_to_text_map": 0.25}
    text = card(metrics=metrics)
    assert "| Text to image | 75.0% | 0.551 |\n" in text
    assert "| Chance | – |" not in text  # R@1 has one in the table above; that of MAP is unknown
    text = card(metrics=metrics | {"map_chance": 0.0876})
    assert "| Chance | 25.0% | 0.088 |\n" in text
    assert "only the query's own partner and what looks just like it.\n" in text
    assert "MAP" not in card()
    unpaired = {"pictures": 4, "texts": 5, "text_to_image_map": 0.5512, "image_to_text_map": 0.25}
    assert "| Image to text | – | 0.250 |\n" in card(metrics=unpaired)


GAP = {
    "modality_probe": 0.7512,
    "modality_probe_std": 0.01,
    "proxy_a_distance": 1.0048,
    "image_effective_rank": 40.26,
    "embedding_dim": 64,
}


def test_the_modality_gap_says_how_to_read_it(card, evaluation):
    text = card(metrics=evaluation.metrics | GAP | {"text_to_image_map": 0.5, "image_to_text_map": 0.5})
    table = text.partition("### Modality gap")[2].partition("\n#")[0]
    assert "| Probe, MLP | 75.1% ±1.0 | how often a fresh classifier names the modality" in table
    assert "50% is chance; lower is better |" in table and "directions in use of 64; near 1, a collapse" in table
    assert "Untrained" not in table and "rsum" not in table and "MAP" not in table
    before = {f"untrained_{key}": value for key, value in GAP.items() if key != "proxy_a_distance"}
    table = card(metrics=evaluation.metrics | GAP | before | {"untrained_rsum": 3.0}).partition("### Modality gap")[2]
    assert "| Measure | Untrained | Trained | How to read it |" in table
    assert "| Proxy A-distance | – | 1.005 |" in table


@pytest.mark.parametrize("more", [{}, GAP, GAP | {f"untrained_{key}": value for key, value in GAP.items()}])
def test_the_card_is_tidy_with_every_section(card, evaluation, more):
    metrics = evaluation.metrics | more | {"text_to_image_map": 0.5, "image_to_text_map": 0.5, "map_chance": 0.1}
    text = card(system="AdversarialBackprop", metrics=metrics, label_names=("dog", "cat"))
    assert "\n\n\n" not in text and text.count("\n#") == text.count("\n\n#")
    for block in text.split("\n\n"):
        rows = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1 and len(rows) in (0, len(block.splitlines())), block


def test_a_model_over_features_says_what_callers_send_and_how_its_representations_did(card, represented):
    tensors = {"inputs": {"text": "float32 (N, 2)"}, "outputs": {"embedding": "float32 (N, 8)"}}
    metrics = evaluate(*represented).metrics
    text = card(signatures={"encode_text_features": tensors, "encode_features": tensors}, metrics=metrics)
    assert "callers send feature vectors of images and feature vectors of texts." in text
    figures = [metrics[f"representation_text_to_image_map_{form}"] for form in ("none", "query", "both")]
    assert f"| Text to image | {' | '.join(f'{value:.3f}' for value in figures)} |" in text
    assert "callers send encoded images and plain strings." in card()
    assert "Raw representations" not in card()
    assert "\n\n\n" not in text


def test_the_size_of_the_parts_where_it_is_known(card):
    rows = [{"name": "Teacher, for training alone", "weights": 1_000_000, "megabytes": "4.00"}]
    text = card(size=rows)
    assert "## Size\n" in text and "| Teacher, for training alone | 1,000,000 | 4.00 |" in text
    assert "\n\n\n" not in text and "## Size" not in card()
