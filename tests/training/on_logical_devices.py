"""A program: trains runs, one after the other, in a process of so many logical CPUs.

Devices of a process are set before TensorFlow starts, so the tests run it beside them. Arguments are the number of
CPUs, and folders of runs; `FOLDER:STEP` is cut off after a step. It prints a line for each: `trained` or the error. In
runs whose folder's name begins with `tuned` the image encoder is a small vision transformer as a pretrained network.
"""

import sys
from pathlib import Path

import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.models import Preset
from mmkeras.training import Run, callbacks, stage_runner, train

from .small_tower import small_tower


class CutOff(callbacks.Checkpoint):
    """A `Checkpoint` as in a run that is interrupted after a step."""

    step_of_cut = 0

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if self.step == self.step_of_cut:
            raise KeyboardInterrupt


def main(count, *folders):
    cpus = [tf.config.LogicalDeviceConfiguration()] * int(count)
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], cpus)
    stage_runner.Checkpoint = CutOff
    build_image_encoder = Preset.build_image_encoder
    for folder in folders:
        folder, _, cut = folder.partition(":")
        CutOff.step_of_cut = int(cut or 0)
        Preset.build_image_encoder = small_tower if Path(folder).name.startswith("tuned") else build_image_encoder
        try:
            train(Run(folder), verbose=0)
            print("trained", flush=True)
        except KeyboardInterrupt:
            print("cut off", flush=True)
        except MmkerasError as error:
            print(f"{type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
