"""What a type checker and an editor know of the public interface."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import mmkeras

# Rooms whose public names carry no annotations yet.
STILL_TO_COME = {"models", "training", "evaluation", "metrics"}

DATACLASS_MAKES = {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"}


def public_packages():
    """The package and its sub-packages that hand names on, but for those below `STILL_TO_COME`."""
    found = [info.name for info in pkgutil.walk_packages(mmkeras.__path__, "mmkeras.") if info.ispkg]
    packages = [mmkeras, *(importlib.import_module(name) for name in found)]
    rooms = [(package.__name__.split(".")[1:] or [""])[0] for package in packages]
    return [
        package
        for package, room in zip(packages, rooms, strict=True)
        if hasattr(package, "__all__") and room not in STILL_TO_COME
    ]


def unannotated(function):
    """The parameters of a function, and "return", that no annotation says anything about."""
    signature = inspect.signature(function)
    bare = [
        name
        for place, (name, parameter) in enumerate(signature.parameters.items())
        if parameter.annotation is inspect.Parameter.empty and not (place == 0 and name in ("self", "cls"))
    ]
    return bare + (["return"] if signature.return_annotation is inspect.Signature.empty else [])


def functions_of(value):
    """Yield (name, function) of a public object: itself, or a class' own public methods and those of our bases."""
    if inspect.isfunction(inspect.unwrap(value)) if callable(value) and not inspect.isclass(value) else False:
        yield "", inspect.unwrap(value)
    if inspect.ismodule(value) and not hasattr(value, "__path__"):
        for name, inner in vars(value).items():
            if not name.startswith("_") and getattr(inner, "__module__", None) == value.__name__:
                yield from ((f".{name}{method}", function) for method, function in functions_of(inner))
    if inspect.isclass(value):
        ours = [base for base in reversed(value.__mro__) if base.__module__.startswith("mmkeras.")]
        made = DATACLASS_MAKES if dataclasses.is_dataclass(value) else set()
        members = {name: member for base in ours for name, member in vars(base).items()}
        for name, member in members.items():
            if name in made or (name.startswith("_") and not name.endswith("__")):
                continue
            for holder in ("fget", "func", "__func__"):  # of a property, a cached property, a class method
                member = getattr(member, holder, member)
            if inspect.isfunction(member):
                yield f".{name}", member


def bare_names(package):
    """One line for each public function or method of a package that lacks an annotation."""
    return [
        f"{package.__name__}.{name}{method}: {bare}"
        for name in package.__all__
        for method, function in functions_of(getattr(package, name))
        if (bare := unannotated(function))
    ]


@pytest.mark.parametrize("package", public_packages(), ids=lambda package: package.__name__)
def test_everything_public_is_annotated(package):
    assert bare_names(package) == []
