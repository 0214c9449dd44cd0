import pytest

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.model_card import SYSTEMS, model_card


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
        "Measured on `glyphs/test`: 4 pictures, 4 texts.",
        "| Text to picture | This model | 75.0% | 100.0% | 100.0% | 1 | 1.2 |",
        "| `encode_text` | `text: string[N]` | `embedding: float[N, 64]` |",
        "| `image.height` | `32` |",
        "| `text.model` | `(5000 characters)` |",
        "| `text.normal\\|form` | `NFKC\\|lower` |",
        "| keras | 3.15.1 |",
    ):
        assert words in text
    assert "\n\n\n" not in text


def test_every_table_row_has_its_columns(card):
    for block in card(name="a|b").split("\n\n"):
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
