from mmkeras.console import print_metrics
from mmkeras.evaluation.report.gap_table import COMPARED, MEASURES, gap_table

METRICS = {
    "modality_probe": 0.75,
    "modality_probe_std": 0.0125,
    "modality_probe_linear": 0.6,
    "proxy_a_distance": 1.0,
    "mmd2": -0.00004,
    "mmd2_p": 0.517,
    "embedding_dim": 64,
    "image_effective_rank": 12.34,
    "text_to_image_map": 0.5123,
    "untrained_modality_probe": 1.0,
    "untrained_modality_probe_std": 0.0,
    "untrained_mmd2": 0.5564,
}


def test_rows_are_what_was_measured():
    rows = {row["name"]: (row["untrained"], row["trained"], row["better"]) for row in gap_table(METRICS)}
    assert rows == {
        "Probe, MLP": ("100.0%", "75.0% ± 1.2", "lower is better"),
        "Probe, linear": (None, "60.0%", "lower is better"),
        "Proxy A-distance": (None, "1.000", "lower is better"),
        "MMD²": ("0.5564", "0.0000", "lower is better"),  # and no minus before a zero
        "p-value of the MMD²": (None, "0.517", "higher is better"),
        "Effective rank, pictures": (None, "12.3", "a check, no goal"),
        "Retrieval: text to picture, MAP": (None, "0.512", "higher is better"),
    }
    assert gap_table({"rsum": 450.0}) == []


def test_every_measure_is_kept_of_the_untrained_model():
    assert {key for key, *_ in MEASURES} | {"modality_probe_std"} == set(COMPARED)


def test_the_terminal_shows_what_was_measured(capsys):
    print_metrics("categories only", METRICS)
    printed = capsys.readouterr().out
    assert printed.index("categories only") < printed.index("0.512") < printed.index("Modality gap")
    assert "75.0% ± 1.2" in printed
    assert "rsum" not in printed and "R@1" not in printed


def test_the_terminal_shows_raw_representations(capsys):
    names = [f"representation_text_to_image_map_{form}" for form in ("none", "query", "both")]
    forms = dict(zip(names, (0.1234, 0.2468, 0.3702), strict=True))
    print_metrics("raw", METRICS | forms)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Raw representations, MAP" in printed
    assert all(figure in printed for figure in ("Text to picture", "0.123", "0.247", "0.370"))
    print_metrics("raw", METRICS)
    assert "Raw representations" not in capsys.readouterr().out


def test_chance_stands_beside_the_mean_average_precision(capsys):
    metrics = METRICS | {"map_chance": 0.0876}
    meanings = [row["meaning"] for row in gap_table(metrics) if "MAP" in row["name"]]
    assert meanings == ["by category; chance 0.088"]
    print_metrics("categories only", metrics)
    assert "0.088" in capsys.readouterr().out
