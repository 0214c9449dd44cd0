"""The operator's files: models.config, batching.config, monitoring.config, ssl.config, in protobuf's text format."""

from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.server.batching import BatchScheduler
from mmkeras.serving.server.model_configs import PLATFORM


def read_models_file(path):
    """Return the ModelConfigList of a models.config.

    Example:
        model_config_list {
          config { name: "glyphs" base_path: "/models/glyphs" model_platform: "tensorflow" }
        }

    Raises:
        MmkerasError: the file cannot be read, is no such text, or holds no model_config_list.
    """
    return parse_models(_content(path), path)


def parse_models(content, path):
    """Return the ModelConfigList of a models.config's bytes; `path` is for the errors."""
    config = _parse(content, protos.ModelServerConfig(), path)
    if config.WhichOneof("config") != "model_config_list":
        raise MmkerasError(
            f"Expected {path} to hold model_config_list {{ ... }}. Received: {config.WhichOneof('config') or 'nothing'}"
        )
    return config.model_config_list


def read_batching_file(path):
    """Return the BatchingParameters of a batching.config, of which a `BatchScheduler` can be made."""
    parameters = _parse(_content(path), protos.BatchingParameters(), path)
    try:
        BatchScheduler.from_parameters(parameters).close()
    except MmkerasError as error:
        raise MmkerasError(f"{path}: {error}") from error
    return parameters


def read_monitoring_file(path):
    """Return the MonitoringConfig of a monitoring.config."""
    config = _parse(_content(path), protos.MonitoringConfig(), path)
    metrics_path = config.prometheus_config.path
    if metrics_path and not metrics_path.startswith("/"):
        raise MmkerasError(f"Expected path in {path} to begin with a slash. Received: path={metrics_path!r}")
    return config


def read_ssl_file(path):
    """Return the SSLConfig of an ssl.config, which holds PEM texts and no paths.

    Raises:
        MmkerasError: the file cannot be read or is no such text, key or certificate is missing, or clients are to be
            verified and no custom_ca says by whose signature.
    """
    config = _parse(_content(path), protos.SSLConfig(), path)
    for field in ("server_key", "server_cert"):
        if "-----BEGIN " not in getattr(config, field):
            raise MmkerasError(f"Expected {field} of {path} to be PEM text, beginning with -----BEGIN.")
    if config.client_verify and not config.custom_ca:
        raise MmkerasError(f"Expected custom_ca in {path}: client_verify needs the certificate that signs clients'.")
    return config


def models_config(name, base_path, version=None):
    """Return the ModelConfigList of one model: its newest version, or the one given."""
    config = protos.ModelConfig(name=name, base_path=str(base_path), model_platform=PLATFORM)
    if version is not None:
        config.model_version_policy.specific.versions.append(version)
    return protos.ModelConfigList(config=[config])


def _content(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise MmkerasError(f"Expected a configuration file that can be read. Received: {path} ({error})") from error


def _parse(content, message, path):
    from google.protobuf import text_format

    try:
        return text_format.Parse(content.decode(), message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise MmkerasError(
            f"Expected {path} to be protobuf text with the fields {', '.join(message.DESCRIPTOR.fields_by_name)}. "
            f"Received, at line : column, {error}"
        ) from error
