from .finding import find_checkpoint


class Checkpoint:
    pass


class PublishedModel:
    pass


def published_model(c):
    raise NotImplementedError
