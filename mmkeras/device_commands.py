"""The command `mmkeras tflite`: encoders for devices, and a folder that searches in a browser."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mmkeras.arguments import finished_run
from mmkeras.atomic import refuse_existing
from mmkeras.console import print_device, print_table, quiet_tensorflow
from mmkeras.errors import MmkerasError
from mmkeras.printable import mmkeras_command
from mmkeras.progress import showing_progress

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel
    from mmkeras.training.run import Run


def write_for_devices(options: argparse.Namespace) -> None:
    """Write a run's encoders for devices, a page that searches by itself, or both; or check a preset."""
    folders = [folder for folder in (options.out, options.web) if folder is not None]
    if (options.check is None) == (options.run is None) or (options.run is None) != (not folders):
        raise MmkerasError("Expected either RUN with --out DIR, --web DIR or both, or --check PRESET")
    if options.runtime and not options.web:
        raise MmkerasError("Expected --web DIR beside --runtime. Received: --runtime alone")
    if options.check:
        _check_preset(options.check)
        return
    run = finished_run(options.run)
    for folder in folders:
        refuse_existing(folder)
    if options.web:
        from mmkeras.export.web.runtime import check_runtime

        if len(options.precision) > 1:
            raise MmkerasError(f"Expected one precision for --web. Received: {', '.join(options.precision)}")
        check_runtime(options.runtime)
    quiet_tensorflow()
    model = run.load_model() if len(folders) > 1 else None
    if options.out:
        _write_encoders(run, options, model)
    if options.web:
        _write_page(run, options, model)


def _check_preset(name: str) -> None:
    from mmkeras.models.preset import Preset

    Preset.load(name)
    quiet_tensorflow()
    from mmkeras.export.tflite import check_preset

    kinds = check_preset(name)
    print_table(f"{name} converts", ("kind", "operators"), [(k, ", ".join(n)) for k, n in kinds.items()])


def _write_encoders(run: Run, options: argparse.Namespace, model: ImageTextModel | None) -> None:
    from mmkeras.export.tflite import export_tflite

    with showing_progress():
        described = export_tflite(
            run, options.out, options.precision, options.index or "", model, options.encoders or ()
        )
    print_device(options.out, described)
    print(f"Card: {options.out / 'card.md'}\nNext: {mmkeras_command('parity', options.out)}")


def _write_page(run: Run, options: argparse.Namespace, model: ImageTextModel | None) -> None:
    from mmkeras.export.web import export_web

    with showing_progress():
        described = export_web(run, options.web, options.precision[0], options.runtime, model)
    cosine = described["cosine"]
    print(
        f"Page: {options.web}, {described['items']:,} items; a first visit takes {described['first_visit'] / 1e6:.2f} "
        f"MB and the pictures that it shows, {described['pictures'] / 1e6:.2f} MB all of them\n"
        f"Texts: cosine with Keras {cosine['least']:.5f} at least, {cosine['mean']:.5f} in the mean"
    )
    if cosine["least"] < described["least_cosine_expected"]:
        print(
            f"Take another --precision: the least cosine is below {described['least_cosine_expected']}, so that what "
            "the page finds is not what the model finds"
        )
    print(f"Look: python -m http.server --bind 127.0.0.1 --directory {options.web}, then http://127.0.0.1:8000")
