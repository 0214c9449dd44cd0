"""`checked_data`: a data set looked at as the model of a preset reads it."""

from __future__ import annotations

import dataclasses

from mmkeras.data.captioned_pictures import CaptionedPictures
from mmkeras.data.checking import DataFindings, Problem, check_data
from mmkeras.data.checking.data_check import MAX_PIXELS
from mmkeras.data.split_names import canonical_split
from mmkeras.errors import MmkerasError
from mmkeras.models.preset import Preset


def checked_data(
    data: CaptionedPictures, preset: Preset, train_split: str = "train", decode: bool = True
) -> DataFindings:
    """Look at a data set as the model of a preset reads it, see `mmkeras.data.checking.check_data`.

    Args:
        data: what `mmkeras.data.read` returned.
        preset: its tokenizer learns from the training captions, as in a training; its image preprocessor says how
            large a picture may be.
        train_split: the split, or several joined by `+`, that is trained on.
        decode: whether pictures are decoded.

    Returns:
        `DataFindings`; a tokenizer that cannot be learnt from these captions is a note in them.
    """
    splits = {one for split in train_split.split("+") for one in (split, canonical_split(split))}
    texts = [
        caption for record in data.records if record.split in splits or "all" in splits for caption in record.captions
    ]
    text_preprocessor, notes = None, []
    if texts and preset.text_preprocessor:
        try:
            text_preprocessor = preset.build_text_preprocessor(texts)
        except MmkerasError as error:
            what = f"the tokenizer of {preset.name} cannot be learnt from the training captions: {error}"
            notes.append(Problem("tokenizer", what))
    image_preprocessor = preset.build_image_preprocessor()
    max_pixels = MAX_PIXELS if image_preprocessor is None else image_preprocessor.max_pixels
    findings = check_data(data, text_preprocessor, max_pixels, decode)
    return dataclasses.replace(findings, notes=[*findings.notes, *notes])
