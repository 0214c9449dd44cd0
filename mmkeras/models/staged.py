"""`Staged`: the parts of a model, of which a stage of training trains some."""

from mmkeras.errors import MmkerasError

BACKBONES = ("backbone", "hub")  # names of the layer that holds an encoder's pretrained network


class Staged:
    """What an `ImageTextModel` tells and takes about training in stages.

    A system with parts of its own overrides `parts`; one whose arguments may change from stage to stage sets
    `stage_arguments`, a dict from an argument's name to the check of its value, a function (name, value) that raises.
    """

    stage_arguments = {}
    _trained_parts = None  # those that were trainable before the first stage

    def given_encoders(self):
        """Return the encoders as the constructor took them, by its arguments' names; more may be built upon them.

        No property: Keras would take it for one more place where layers are kept, and name weights in files after it.
        """
        return {"image_encoder": self.image_encoder, "text_encoder": self.text_encoder}

    @property
    def parts(self):
        """What training may change or leave alone, by name: a dict of layers.

        The encoders are those of the constructor. A pretrained network within one is a part of its own,
        `image_backbone` or `text_backbone`.
        """
        parts = self.given_encoders()
        for modality in ("image", "text"):
            for layer in parts[f"{modality}_encoder"].layers:
                if layer.name in BACKBONES:
                    parts[f"{modality}_backbone"] = layer
        return parts

    def kept_for_training(self):
        """Return what the model holds beside its parts for its training alone, by name: a dict of lists of variables.

        No export has it, its memory is told by itself, and a training that begins with this model makes it anew.
        """
        return {}

    def set_stage(self, trains=(), **arguments):
        """Set what the next `fit` trains and how its losses are weighed. Compile after it.

        Args:
            trains: names of `parts`, the others are frozen; empty for those that were trainable at first. A backbone
                is trained with its encoder only.
            **arguments: new values of constructor arguments, of those in `stage_arguments`.

        Raises:
            MmkerasError: a part or an argument that the model does not have, or a value that it does not take.
        """
        if self._trained_parts is None:
            self._trained_parts = tuple(name for name, part in self.parts.items() if part.trainable)
        trains = tuple(trains) or self._trained_parts
        if unknown := set(trains) - set(self.parts):
            raise MmkerasError(
                f"Expected parts of {type(self).__name__}: {', '.join(self.parts)}. "
                f"Received: {', '.join(sorted(unknown))}"
            )
        for name in trains:
            if name.endswith("_backbone") and (encoder := name.replace("backbone", "encoder")) not in trains:
                raise MmkerasError(f"Expected {encoder} where its {name} is trained. Received: {', '.join(trains)}")
        self._check(**arguments)
        for name, part in self.parts.items():  # an encoder before the backbone within it
            part.trainable = name in trains
        for name, value in arguments.items():
            setattr(self, name, value)

    def _check(self, **arguments):
        for name, value in arguments.items():
            if name not in self.stage_arguments:
                raise MmkerasError(
                    f"Expected arguments of {type(self).__name__} that a stage may change: "
                    f"{', '.join(self.stage_arguments) or 'it has none'}. Received: {name}={value!r}"
                )
            self.stage_arguments[name](name, value)
