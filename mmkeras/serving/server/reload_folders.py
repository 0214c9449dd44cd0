"""Which folders a client may have models loaded from."""

from pathlib import Path

from mmkeras.serving.errors import ServingError


class ReloadFolders:
    """Check the lists of models that arrive over the network, before anything on the disk is looked at.

    A SavedModel is a program: it reads and writes files with the rights of the server. Who may name any folder may run
    any program that lies, or can be put, on this machine, and learns from the errors which paths there are.

    Args:
        folders: what lies in one of them or below is allowed; nothing at all where None.

    Example:
        >>> ReloadFolders(["/models/glyphs"]).check(request.config.model_config_list)
    """

    def __init__(self, folders=None):
        self.folders = None if folders is None else [Path(folder).expanduser().resolve() for folder in folders]

    def check(self, model_config_list):
        """Refuse a ModelConfigList with a base path elsewhere, in the same words whether there is such a path or not.

        Raises:
            ServingError: PERMISSION_DENIED.
        """
        if self.folders is None:
            raise ServingError(
                "PERMISSION_DENIED",
                "HandleReloadConfigRequest is off. Start the server with allow_reload_config (mmkeras serve "
                "--allow-reload-config) to have it follow clients",
            )
        for config in model_config_list.config:
            # What is no absolute path is refused by whoever follows the list, and leads nowhere.
            if config.base_path.startswith("/") and not self._holds(config.base_path):
                raise ServingError(
                    "PERMISSION_DENIED",
                    f"Expected the base path of model {config.name} to lie in a folder that this server was started "
                    f"with. Received: base_path={config.base_path}",
                )

    def _holds(self, path):
        try:
            path = Path(path).resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links, a name too long, a zero byte
            return False
        return any(path.is_relative_to(folder) for folder in self.folders)


NOWHERE = ReloadFolders()
