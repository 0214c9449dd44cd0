"""A program: trains runs, one after the other, in a process of so many logical CPUs.

Devices of a process are set before TensorFlow starts, so the tests run it beside them. Arguments are the number of
CPUs, and folders of runs; `FOLDER:STEP` is cut off after a step. It prints a line for each: `trained` or the error.
"""

import sys

import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.training import Run, callbacks, train


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
    from mmkeras.training import stage_runner

    stage_runner.Checkpoint = CutOff
    for folder in folders:
        folder, _, cut = folder.partition(":")
        CutOff.step_of_cut = int(cut or 0)
        try:
            train(Run(folder), verbose=0)
            print("trained", flush=True)
        except KeyboardInterrupt:
            print("cut off", flush=True)
        except MmkerasError as error:
            print(f"{type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
