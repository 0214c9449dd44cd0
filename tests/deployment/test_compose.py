"""compose.yaml against the schema of Compose, and against the files that it names."""

import re

import pytest

from tests.deployment.conftest import IMAGE, flags


def test_compose_fits_its_schema(compose):
    schemas = pytest.importorskip(
        "check_jsonschema.builtin_schemas", reason='check-jsonschema is not installed: pip install -e ".[test]"'
    )
    import jsonschema

    schema = schemas.get_builtin_schema("vendor.compose-spec")
    jsonschema.validate(compose, schema)
    broken = {**compose, "services": {"a": {"image": "b", "portz": []}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_compose_names_files_that_exist_and_ports_on_this_machine_only(compose, serving):
    assert set(compose["services"]) == {"model-server", "prometheus", "grafana"}
    for name, service in compose["services"].items():
        image, _, tag = service["image"].partition(":")
        assert image and re.fullmatch(r"v?\d+\.\d+\.\d+", tag), name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (serving / source).exists(), volume
                assert volume.endswith(":ro"), volume
            else:
                assert source in compose["volumes"], volume
    server = compose["services"]["model-server"]
    assert server["image"] == IMAGE
    assert server["read_only"] is True and server["user"] == "65534:65534"
    for flag, value in flags(server["command"]).items():
        if value.startswith("/config/"):
            assert (serving / value.removeprefix("/config/")).is_file(), flag
