"""`summary_lines`: a data set in five lines, as a training shows it."""

from __future__ import annotations

from mmkeras.data.checking.data_findings import DataFindings
from mmkeras.data.checking.problem import amount
from mmkeras.data.checking.wording import counted, pixels, share, size, span


def summary_lines(findings: DataFindings) -> list[str]:
    """Return what a data set holds in five lines.

    Args:
        findings: what `check_data` returned, with pictures decoded or without.

    Returns:
        list of five strings: pictures and captions by split; sizes and formats; what splits share and what is copied;
        lengths of captions; classes, or equal captions where there are none.
    """
    splits = "; ".join(
        f"{split} {amount(count['pictures'], 'picture')}, {amount(count['captions'], 'caption')}"
        for split, count in findings.counts.items()
    )
    drawn = " (drawn 80/10/10)" if findings.drawn else ""
    unused = f"; not used: {', '.join(findings.unused)}" if findings.unused else ""
    return [
        f"Data: {splits or 'no records'}{drawn}{unused}",
        f"Pictures: {_pictures(findings)}",
        f"Shared: {_shared(findings)}",
        f"Captions: {_captions(findings)}",
        _last(findings),
    ]


def _pictures(findings):
    figures = findings.pictures
    if figures is None:
        return "features in their place"
    some = f" (of {figures.looked_at:,} looked at)" if figures.looked_at < figures.count else ""
    return f"{pixels(findings)}; {counted(figures.formats) or 'no format known'}{some}; {size(figures.bytes)}"


def _shared(findings):
    told = [
        note.what.partition(": on them")[0] for note in findings.notes if note.kind in ("shared_pictures", "copies")
    ]
    return "; ".join(told) or "no picture in two splits, no copies"


def _captions(findings):
    captions = findings.captions
    text = f"{span(captions.words)} words"
    if captions.ids is not None:
        length = captions.sequence_length
        text += f"; 99 % fit in {captions.ids.quantile(0.99):.0f} ids, {share(captions.cut)} are cut at {length}"
    return text


def _last(findings):
    if findings.classes is None:
        captions = findings.captions
        if not captions.at_several:
            return "Equal captions: none of different pictures"
        different = amount(captions.different, "different text")
        return f"Equal captions: {captions.at_several:,} of {captions.count:,}, {different}"
    totals = findings.classes.totals
    largest, smallest = next(iter(totals)), list(totals)[-1]
    return f"Classes: {len(totals):,}; {largest} {totals[largest]:,} to {smallest} {totals[smallest]:,} pictures"
