"""A client has models loaded only where it may, and learns nothing of the rest of the disk."""

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import EmbeddedServer, ServingError, protos
from mmkeras.serving.server.reload_folders import NOWHERE, ReloadFolders

RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"


def models(*paths):
    entries = [
        {"name": f"{number}", "base_path": str(path), "model_platform": "tensorflow"}
        for number, path in enumerate(paths)
    ]
    return protos.ModelConfigList(config=entries)


def refusal(folders, *paths):
    with pytest.raises(ServingError) as caught:
        folders.check(models(*paths))
    return caught.value.code, caught.value.details


def test_it_is_off_unless_asked_for(tmp_path):
    for paths in ((), (tmp_path,), (tmp_path / "none",)):
        code, text = refusal(NOWHERE, *paths)
        assert (code, text.partition(".")[0]) == ("PERMISSION_DENIED", "HandleReloadConfigRequest is off")


def test_only_what_lies_in_the_folders_is_allowed(tmp_path):
    home, other = tmp_path / "home", tmp_path / "home and garden"
    (home / "a").mkdir(parents=True)
    other.mkdir()
    (home / "way out").symlink_to(other)
    folders = ReloadFolders([home])
    folders.check(models())
    folders.check(models(home, home / "a", home / "not there yet", other / ".." / "home" / "a"))
    folders.check(models("relative, which the list's own check refuses"))
    for path in (
        tmp_path,
        other,
        other / "not there",
        home / "way out",
        home / "a" / ".." / ".." / "home and garden",
        "/",
        "/etc",
        f"{home}\0/a",
        "/" + "x" * 5000,
    ):
        told = "Expected the base path of model 1 to lie in a folder that this server was started with. "
        assert refusal(folders, home, path) == ("PERMISSION_DENIED", f"{told}Received: base_path={path}")


@pytest.fixture
def reload(toy_path):
    """A function of (EmbeddedServer's arguments, base path) that returns (code, text) and what is served then."""
    import grpc

    def reload(path, **arguments):
        config = {"name": "again", "base_path": str(path), "model_platform": "tensorflow"}
        request = protos.ReloadConfigRequest(config={"model_config_list": {"config": [config]}})
        with EmbeddedServer(toy_path, **arguments) as server, grpc.insecure_channel(server.address) as channel:
            try:
                channel.unary_unary(RELOAD)(request.SerializeToString(), timeout=30)
                answer = ("OK", "")
            except grpc.RpcError as error:
                answer = (error.code().name, error.details())
            return answer, [name for name in ("toy", "again") if server.models.newest(name)]

    return reload


def test_a_server_follows_no_client_unless_it_was_told_to(reload, toy_path, half_plus_two_path, tmp_path):
    answers = [reload(path) for path in (half_plus_two_path, toy_path, tmp_path / "not there")]
    assert [answer[0][0] for answer in answers] == ["PERMISSION_DENIED"] * 3
    assert len({answer[0][1] for answer in answers}) == 1
    assert [answer[1] for answer in answers] == [["toy"]] * 3
    assert reload(toy_path, allow_reload_config=True) == (("OK", ""), ["again"])


def test_a_path_elsewhere_is_answered_alike_whether_it_is_there_or_not(reload, half_plus_two_path, tmp_path):
    (there, served), (missing, also) = [
        reload(path, allow_reload_config=True) for path in (half_plus_two_path, tmp_path / "not there")
    ]
    assert served == also == ["toy"]
    assert there[0] == missing[0] == "PERMISSION_DENIED"
    assert there[1].replace(str(half_plus_two_path), "") == missing[1].replace(str(tmp_path / "not there"), "")


def test_one_folder_is_no_list(toy_path):
    with pytest.raises(MmkerasError, match="Expected allow_reload_config to be a bool or a list of folders. "):
        EmbeddedServer(toy_path, allow_reload_config=str(toy_path))


def test_folders_may_be_named(reload, half_plus_two_path):
    folders = [half_plus_two_path.parent]
    assert reload(half_plus_two_path, allow_reload_config=folders) == (("OK", ""), ["again"])
