"""The commands `mmkeras data check` and `mmkeras data pack`."""

import argparse
import json
import sys
from typing import Any

from mmkeras.arguments import check_data_names
from mmkeras.atomic import check_writable
from mmkeras.console import print_data, quiet_tensorflow
from mmkeras.printable import mmkeras_command
from mmkeras.progress import Progress, showing_progress


def data_check(options: argparse.Namespace) -> int:
    """Say what is in a data set and what is wrong with it; return the exit code."""
    preset, train_split = check_data_names(options.source, options.preset, options.recipe)
    if options.html:
        check_writable(options.html)
    quiet_tensorflow()
    from mmkeras.data import read
    from mmkeras.training.checked_data import checked_data

    targets: Any = "" if options.targets == "none" else options.targets
    with showing_progress(0 if options.json else "auto"):
        data = read(options.source, options.images, targets=targets, skip_unreadable=1.0)
        findings = checked_data(data, preset, train_split)
        if options.html:
            from mmkeras.evaluation.data_page import picture_sheet, write_data_page

            write_data_page(options.html, findings, picture_sheet(data, findings.max_pixels))
    if options.json:
        print(json.dumps(findings.to_dict(), ensure_ascii=False, indent=2))
    else:
        print_data(findings)
    if options.html:
        print(f"Page: {options.html}", file=sys.stderr)
    return findings.exit_code


def data_pack(options: argparse.Namespace) -> None:
    """Write pictures with their captions as tars."""
    check_data_names(options.source, None, None)
    quiet_tensorflow()
    from mmkeras.data import pack, read

    with showing_progress():
        data = read(options.source, options.images, skip_unreadable=options.skip_unreadable)
        with Progress("Packing pictures", sum(data.counts.values()), "picture") as bar:
            packed = pack(data, options.to, options.size, options.shard, bar.advance)
    if packed.left_out:
        print(f"Left out, since they cannot be read: {len(packed.left_out):,}. The first: {packed.left_out[0]}")
    there = packed.shards - packed.written
    also = f" ({there:,} of them were there before)" if there else ""
    print(f"Packed: {packed.pictures:,} pictures in {packed.shards:,} tars, {packed.bytes / 1e6:,.1f} MB{also}")
    print(f"Next:   {mmkeras_command('train', options.to)}")
