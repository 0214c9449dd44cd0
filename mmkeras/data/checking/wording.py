"""How findings are worded, for terminal, page and training alike."""

from __future__ import annotations

from mmkeras.data.checking.caption_figures import LONG
from mmkeras.data.checking.data_findings import DataFindings
from mmkeras.data.checking.problem import amount
from mmkeras.data.checking.spread import Spread

VERDICTS = {
    "mend": "must be mended before a training",
    "look": "nothing must be mended; look at the notes",
    "good": "nothing stands out",
}
MOST_CLASSES = 8  # in one line, the largest


def facts(findings: DataFindings) -> dict[str, list[tuple[str, str]]]:
    """Return what is in a data set as (label, text) lines by section: `Data`, `Pictures`, `Captions`, `Classes`."""
    sections = {"Data": _data(findings), "Pictures": _pictures(findings), "Captions": _captions(findings)}
    sections["Classes"] = _classes(findings)
    return {title: lines for title, lines in sections.items() if lines}


def share(part: float) -> str:
    """Return a share, 0 to 1, as people read it: `100 %`, `2.5 %`, `0.04 %`."""
    return f"{100 * part:.3g} %" if part < 0.9995 or part >= 1 else f"{100 * part:.2f} %"


def size(count: int) -> str:
    """Return a number of bytes as `12.3 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def span(spread: Spread, unit: str = "") -> str:
    """Return how numbers are spread: `1 to 38, median 11`, or `all 5`."""
    if spread.least == spread.most:
        return f"all {spread.least:,.4g}{unit}"
    return f"{spread.least:,.4g} to {spread.most:,.4g}{unit}, median {spread.median:,.4g}"


def pixels(findings: DataFindings) -> str:
    """Return the smallest, median and largest size of pictures, `90 x 60 to 640 x 480 px, median 500 x 375`."""
    figures = findings.pictures
    if figures is None or not len(figures.width.values):
        return "unknown"
    order = (figures.width.values * figures.height.values).argsort(kind="stable")
    smallest, median, largest = (order[place] for place in (0, (len(order) - 1) // 2, -1))
    texts = [f"{figures.width.values[row]:,} x {figures.height.values[row]:,}" for row in (smallest, largest, median)]
    return f"all {texts[0]} px" if len(set(texts)) == 1 else f"{texts[0]} to {texts[1]} px, median {texts[2]}"


def counted(counts: dict[str, int]) -> str:
    """Return what is counted, the most first: `JPEG 1,990, PNG 10`, or `all JPEG`."""
    if len(counts) == 1:
        return f"all {next(iter(counts))}"
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _data(findings):
    drawn = "drawn 80/10/10 by the pictures' names, since the data do not say"
    lines = [("layout", findings.layout), ("splits", drawn if findings.drawn else "as the data say")]
    if findings.unused:
        lines.append(("not used", ", ".join(findings.unused)))
    if len(findings.captions_a_picture.values):
        lines.append(("captions a picture", span(findings.captions_a_picture)))
    return lines


def _pictures(findings):
    figures = findings.pictures
    if figures is None or not figures.count:
        return []
    lines = [("size", pixels(findings))]
    if len(figures.width.values):
        lines.append(("width / height", span(figures.aspect)))
    lines += [("formats", counted(figures.formats)), ("colours", counted(figures.colours))]
    if figures.turned:
        of_each = ", ".join(f"{tag}: {count:,}" for tag, count in sorted(figures.turned.items()))
        lines.append(("turned by EXIF", f"{sum(figures.turned.values()):,} (orientation {of_each})"))
    lines.append(
        ("in all", f"{figures.looked_at if findings.decoded else figures.count:,} files, {size(figures.bytes)}")
    )
    looked = f"all but {figures.unreadable:,} of {figures.count:,}" if figures.unreadable else "all"
    if not findings.decoded:
        looked = f"none decoded; the headers of {figures.looked_at:,} were read"
    lines.append(("can be read", looked))
    return [(label, text) for label, text in lines if text]


def _captions(findings):
    captions = findings.captions
    if not captions.count:
        return []
    lines = [("words", span(captions.words))]
    if captions.ids is not None:
        cut = f"{share(captions.cut)} of them are cut at {captions.sequence_length}"
        lines.append(("ids", f"{span(captions.ids)}; 99 % fit in {captions.ids.quantile(0.99):.0f}, {cut}"))
    several = f"{captions.at_several:,} stand at several pictures ({amount(captions.different, 'different text')})"
    lines.append(("equal", several if captions.at_several else "none of different pictures"))
    systems = ", ".join(f"{name} {share(part)}" for name, part in list(captions.systems.items())[:5] if part >= 5e-5)
    lines.append(("writing", systems or "no letters"))
    lines.append(("no letters", f"{share(captions.signs)} of the characters"))
    if captions.one_word or captions.long:
        lines.append(("short and long", f"{captions.one_word:,} of one word, {captions.long:,} of over {LONG}"))
    return lines


def _classes(findings):
    if findings.classes is None:
        return []
    totals = findings.classes.totals
    largest = ", ".join(f"{name} {count:,}" for name, count in list(totals.items())[:MOST_CLASSES])
    lines = [("number", f"{len(totals):,}"), ("largest" if len(totals) > MOST_CLASSES else "pictures", largest)]
    if len(totals) > MOST_CLASSES:
        lines.append(("smallest", ", ".join(f"{name} {count:,}" for name, count in list(totals.items())[-3:])))
    return lines
