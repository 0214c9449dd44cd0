"""The commands `mmkeras parity` and `mmkeras gate`: is what was exported right, and good enough?"""

import argparse

from mmkeras.console import print_gate, print_parity, quiet_tensorflow
from mmkeras.progress import showing_progress


def check_parity(options: argparse.Namespace) -> int:
    """Compare what was exported with Keras; return the exit code."""
    from mmkeras.parity import check_exported, is_for_devices

    checked, comparisons = check_exported(options.model, options.server, before_loading=quiet_tensorflow)
    names = "*_encoder_*.tflite" if is_for_devices(options.model) else "signature"
    print_parity(f"{checked} against Keras", comparisons, names)
    return 0 if all(comparison.passed for comparison in comparisons) else 1


def check_gate(options: argparse.Namespace) -> int:
    """Compare two exported versions on held-out data; return the exit code."""
    from mmkeras.gate import compare_versions

    with showing_progress():
        verdict = compare_versions(
            *(options.model, options.data, options.images, options.split),
            candidate=options.version,
            current=options.against,
            tolerance=options.tolerance,
            before_loading=quiet_tensorflow,
        )
    print_gate(options.model, verdict)
    return 0 if verdict.passed else 1
