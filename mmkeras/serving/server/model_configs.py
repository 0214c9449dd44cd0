"""What a list of models may say, and which versions of a folder its policies ask for.

Reference: tensorflow_serving/model_servers/server_core.cc,
tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc.
"""

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.versions import list_versions

PLATFORM = "tensorflow"


def check_model_configs(configs):
    """Raise where a list of ModelConfig cannot be followed, with TensorFlow Serving's code and text."""
    names = set()
    for config in configs:
        if config.name in names:
            raise ServingError("INVALID_ARGUMENT", f"Illegal to list model {config.name} multiple times in config list")
        names.add(config.name)
    for config in configs:
        if not config.base_path.startswith("/"):
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Expected model {config.name} to have an absolute path or URI; got base_path()={config.base_path}",
            )
    for config in configs:
        platform = _platform(config)
        if platform != PLATFORM:
            raise ServingError("INVALID_ARGUMENT", f"Model {config.name} requests unsupported platform {platform}")


def _platform(config):
    if config.model_type and config.model_platform:
        raise ServingError(
            "INVALID_ARGUMENT",
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            f"model name is {config.name}",
        )
    if config.model_type == protos.ModelType["TENSORFLOW"]:
        return PLATFORM
    if config.model_type:
        return str(config.model_type)
    if not config.model_platform:
        raise ServingError(
            "INVALID_ARGUMENT",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {config.name}",
        )
    return config.model_platform


def wanted_versions(config):
    """Return a dict from version number to folder of what a model's policy asks for, the newest first.

    The newest version where there is no policy; of specific versions those that are there.

    Raises:
        ServingError: NOT_FOUND where the base path is no folder.
    """
    try:
        folders = list_versions(config.base_path)
    except OSError as error:
        raise ServingError(
            "NOT_FOUND", f"Could not find base path {config.base_path} for servable {config.name} ({error.strerror})"
        ) from error
    numbers = sorted(folders, reverse=True)
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "specific":
        numbers = [number for number in numbers if number in policy.specific.versions]
    elif choice != "all":
        numbers = numbers[: max(policy.latest.num_versions, 1)]
    return {number: folders[number] for number in numbers}


def wanted_versions_of_new_model(config):
    """Return `wanted_versions`, of which there must be one.

    The original waits for ever here, and a reload of it keeps every later one waiting too.
    """
    versions = wanted_versions(config)
    if not versions:
        asked = ""
        if config.model_version_policy.WhichOneof("policy_choice") == "specific":
            asked = f" with a version among {list(config.model_version_policy.specific.versions)}"
        raise ServingError(
            "NOT_FOUND",
            f"No versions of servable {config.name} found under base path {config.base_path}{asked}. "
            "Did you forget to name your leaf directory as a number (eg. '/1/')?",
        )
    return versions
