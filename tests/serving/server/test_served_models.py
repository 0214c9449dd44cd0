"""Versions come and go, and there is always one that answers."""

import shutil
import threading

import pytest

from mmkeras.serving import ServingError, protos
from mmkeras.serving.server import served_version

LATEST_2 = "model_version_policy { latest { num_versions: 2 } }"
ALL = "model_version_policy { all {} }"
ONE_AND_THREE = "model_version_policy { specific { versions: 1 versions: 3 } }"


@pytest.mark.parametrize(
    ("policy", "served"),
    [("", [3]), ("model_version_policy {}", [3]), (LATEST_2, [2, 3]), (ALL, [1, 2, 3]), (ONE_AND_THREE, [1, 3])],
)
def test_policies(shelf, policy, served):
    shelf.put("m", 1, 2, 3)
    (shelf.folder / "m" / ".tmp-9").mkdir()
    shelf.models.start(shelf.configs(("m", policy)))
    assert shelf.states("m") == dict.fromkeys(served, "AVAILABLE")
    assert shelf.answers("m") == 3
    for version in (1, 2, 3):
        expected = (
            version if version in served else ("NOT_FOUND", f"Servable not found for request: Specific(m, {version})")
        )
        assert shelf.answers("m", version) == expected


def test_a_new_version_is_loaded_before_the_old_one_goes(shelf):
    shelf.put("m", 1)
    shelf.models.start(shelf.configs("m"))
    shelf.put("m", 2)
    shelf.models.look()
    assert shelf.log == ["loaded m 1", "loaded m 2", "closed m 1"]
    assert shelf.states("m") == {2: "AVAILABLE", 1: "END"}
    assert [version for version, _, _ in shelf.models.statuses("m")] == [2, 1]
    shutil.rmtree(shelf.folder / "m" / "2")
    shelf.models.look()
    assert shelf.log[3:] == ["loaded m 1", "closed m 2"]
    assert shelf.answers("m") == 1


def test_a_version_that_fails_replaces_nothing_and_is_listed_with_its_error(shelf):
    shelf.put("m", 1)
    shelf.models.start(shelf.configs("m"))
    shelf.put("m", 2, content="bad")
    for _ in range(3):
        shelf.models.look()
    assert shelf.answers("m") == 1
    assert shelf.states("m") == {2: "END", 1: "AVAILABLE"}
    error = shelf.models.statuses("m")[0][2]
    assert (error.code, error.details) == ("DATA_LOSS", "It is bad")
    assert shelf.log == ["loaded m 1", "failed m 2"]  # and not once a look
    shelf.put("m", 2)  # the copy is complete now
    shelf.models.look()
    assert shelf.answers("m") == 2
    assert shelf.models.statuses("m")[0][2] is None


def test_a_failed_load_is_tried_again_five_times_a_minute_apart(shelf, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(served_version.time, "monotonic", lambda: now[0])
    shelf.put("m", 1)
    shelf.models.start(shelf.configs("m"))
    shelf.put("m", 2, content="bad")
    for _ in range(100):
        shelf.models.look()
        now[0] += 20
    assert shelf.log.count("failed m 2") == 6


def test_without_versions_a_model_goes_and_without_its_folder_it_stays(shelf, caplog):
    shelf.put("m", 1)
    shelf.models.start(shelf.configs("m"))
    (shelf.folder / "m").rename(shelf.folder / "away")
    for _ in range(3):
        shelf.models.look()
    assert shelf.answers("m") == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"Could not find base path {shelf.folder}/m for servable m (No such file or directory); what is loaded stays"
    ]
    (shelf.folder / "m").mkdir()
    shelf.models.look()
    assert shelf.answers("m") == ("NOT_FOUND", "Servable not found for request: Latest(m)")
    assert shelf.states("m") == {1: "END"}
    shelf.put("m", 1)
    shelf.models.look()
    assert shelf.answers("m") == 1


def test_a_version_is_freed_with_its_last_request(shelf):
    shelf.put("m", 1)
    shelf.models.start(shelf.configs("m"))
    with shelf.models.resolve(protos.ModelSpec(name="m")) as first:
        with shelf.models.resolve(protos.ModelSpec(name="m")) as second:
            shelf.put("m", 2)
            shelf.models.look()
            assert first is second and first.version == 1
            assert shelf.states("m") == {2: "AVAILABLE", 1: "UNLOADING"}
            assert shelf.answers("m", 1)[0] == "NOT_FOUND"
        assert not first.closed.is_set()
    assert first.closed.is_set()
    assert shelf.states("m") == {2: "AVAILABLE", 1: "END"}


def test_a_version_that_comes_back_while_it_goes_is_loaded_anew(shelf):
    shelf.put("m", 1)
    shelf.models.start(shelf.configs("m"))
    with shelf.models.resolve(protos.ModelSpec(name="m")) as old:
        shelf.models.reload(shelf.configs())
        shelf.models.reload(shelf.configs("m"))
        with shelf.models.resolve(protos.ModelSpec(name="m")) as new:
            assert new is not old
    assert old.closed.is_set() and not new.closed.is_set()
    assert shelf.answers("m") == 1


def test_close_ends_what_still_runs(shelf):
    shelf.put("m", 1)
    shelf.models.start(shelf.configs("m"))
    with shelf.models.resolve(protos.ModelSpec(name="m")) as servable:
        shelf.models.close()
        assert servable.closed.is_set()
    assert shelf.log.count("closed m 1") == 1
    assert shelf.states("m") == {1: "END"}


def test_a_start_without_a_model_is_refused_at_once(shelf):
    shelf.put("a", 1)
    shelf.put("bad", 1, 2, content="bad")
    for configs, code, text in (
        (shelf.configs("a", "gone"), "NOT_FOUND", f"Could not find base path {shelf.folder}/gone for servable gone"),
        (
            shelf.configs("a", "bad"),
            "UNKNOWN",
            "1 servable(s) did not become available: {{{name: bad version: 2} due to error: DATA_LOSS: It is bad}, }",
        ),
        (
            shelf.configs("a", ("bad", "model_version_policy { specific { versions: 9 } }")),
            "NOT_FOUND",
            f"No versions of servable bad found under base path {shelf.folder}/bad with a version among [9]. Did you",
        ),
    ):
        with pytest.raises(ServingError) as caught:
            shelf.models.start(configs)
        assert (caught.value.code, caught.value.details[: len(text)]) == (code, text)
        assert shelf.answers("a")[0] == "NOT_FOUND"
    assert shelf.log.count("loaded a 1") == shelf.log.count("closed a 1")


def test_one_good_version_is_enough_to_start(shelf):
    shelf.put("m", 1)
    shelf.put("m", 2, content="bad")
    shelf.models.start(shelf.configs(("m", ALL)))
    assert shelf.answers("m") == 1
    assert shelf.states("m") == {2: "END", 1: "AVAILABLE"}


def test_a_reload_replaces_the_list(shelf):
    shelf.put("a", 1)
    shelf.put("b", 4, 5)
    shelf.models.start(shelf.configs("a"))
    shelf.models.reload(shelf.configs(("b", LATEST_2)))
    assert shelf.answers("a") == ("NOT_FOUND", "Servable not found for request: Latest(a)")
    assert (shelf.answers("b"), shelf.answers("b", 4)) == (5, 4)
    shelf.models.reload(shelf.configs("a", "b"))
    assert (shelf.answers("a"), shelf.answers("b"), shelf.states("b")) == (1, 5, {5: "AVAILABLE", 4: "END"})
    shelf.models.reload(shelf.configs())
    assert (shelf.states("a"), shelf.states("b")) == ({1: "END"}, {5: "END", 4: "END"})
    shelf.put("a", 2)
    shelf.models.look()
    assert shelf.states("a") == {1: "END"}


def test_a_reload_with_a_new_model_that_fails(shelf):
    shelf.put("a", 1)
    shelf.put("bad", 1, content="bad")
    shelf.models.start(shelf.configs("a"))
    with pytest.raises(ServingError) as caught:
        shelf.models.reload(shelf.configs("a", "bad"))
    text = "1 model(s) did not become available: {{{name: bad version: 1} due to error: DATA_LOSS: It is bad}, }"
    assert (caught.value.code, caught.value.details) == ("UNKNOWN", text)
    assert shelf.answers("a") == 1
    assert shelf.states("bad") == {1: "END"}
    shelf.put("bad", 1)
    shelf.models.reload(shelf.configs("a", "bad"))
    assert shelf.answers("bad") == 1


def test_a_reload_that_is_refused_changes_nothing(shelf):
    shelf.put("a", 1)
    shelf.put("b", 1)
    shelf.models.start(shelf.configs("a"))

    def refused(configs):
        with pytest.raises(ServingError) as caught:
            shelf.models.reload(configs)
        assert (shelf.states("a"), shelf.states("b")) == ({1: "AVAILABLE"}, {})
        return caught.value.code, caught.value.details

    invalid = "INVALID_ARGUMENT"
    assert refused(shelf.configs("b", "b")) == (invalid, "Illegal to list model b multiple times in config list")
    configs = shelf.configs("b")
    configs.config[0].base_path = "x/y"
    text = "Expected model b to have an absolute path or URI; got base_path()=x/y"
    assert refused(configs) == (invalid, text)
    configs = shelf.configs("b")
    configs.config[0].model_platform = "torch"
    assert refused(configs) == (invalid, "Model b requests unsupported platform torch")
    configs.config[0].model_platform = ""
    text = (
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
        "model name is b"
    )
    assert refused(configs) == (invalid, text)
    text = f"Could not find base path {shelf.folder}/gone for servable gone (No such file or directory)"
    assert refused(shelf.configs("b", "gone")) == ("NOT_FOUND", text)
    (shelf.folder / "empty").mkdir()
    code, text = refused(shelf.configs("b", "empty"))
    assert code == "NOT_FOUND" and text.startswith("No versions of servable empty found under base path")


def test_the_deprecated_model_type_is_understood(shelf):
    shelf.put("a", 1)
    configs = shelf.configs("a")
    configs.config[0].model_platform = ""
    configs.config[0].model_type = protos.ModelType["TENSORFLOW"]
    shelf.models.start(configs)
    assert shelf.answers("a") == 1


def test_labels(shelf):
    shelf.put("a", 1, 2)
    stable = 'version_labels { key: "stable" value: 1 }'
    canary = 'version_labels { key: "canary" value: 2 }'
    shelf.models.start(shelf.configs(("a", f"{ALL} {stable}")))  # a restart with the same file works
    assert (shelf.answers("a", label="stable"), shelf.answers("a")) == (1, 2)
    assert shelf.answers("a", label="canary") == (
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: canary",
    )
    shelf.models.reload(shelf.configs(("a", f"{ALL} {stable} {canary}")))
    assert shelf.answers("a", label="canary") == 2
    shelf.put("a", 3)
    with pytest.raises(ServingError) as caught:
        shelf.models.reload(shelf.configs(("a", ALL + ' version_labels { key: "canary" value: 3 }')))
    text = "Request to assign label to version 3 of model a, which is not currently available for inference"
    assert (caught.value.code, caught.value.details) == ("FAILED_PRECONDITION", text)
    assert shelf.answers("a", label="stable") == 1
    shelf.models.reload(shelf.configs(("a", f"model_version_policy {{ latest {{}} }} {stable}")))
    assert shelf.answers("a", label="stable") == ("NOT_FOUND", "Servable not found for request: Specific(a, 1)")
    shelf.models.reload(shelf.configs("a"))
    assert shelf.answers("a", label="stable")[0] == "INVALID_ARGUMENT"


def test_a_start_with_a_label_of_a_version_that_is_not_loaded_is_refused(shelf):
    shelf.put("a", 1)
    with pytest.raises(ServingError, match="FAILED_PRECONDITION: Request to assign label to version 9 of model a"):
        shelf.models.start(shelf.configs(("a", 'version_labels { key: "stable" value: 9 }')))
    assert shelf.states("a") == {1: "END"}


def test_a_reload_waits_no_longer_than_its_client(shelf):
    loading, go_on = threading.Event(), threading.Event()
    load = shelf.models.load

    def slowly(*arguments):
        loading.set()
        go_on.wait(10)
        return load(*arguments)

    shelf.put("a", 1)
    shelf.models.start(shelf.configs("a"))
    shelf.models.load = slowly
    shelf.put("a", 2)
    looking = threading.Thread(target=shelf.models.look)
    looking.start()
    loading.wait(10)
    assert shelf.answers("a") == 1 and shelf.states("a") == {2: "LOADING", 1: "AVAILABLE"}
    with pytest.raises(ServingError, match="DEADLINE_EXCEEDED"):
        shelf.models.reload(shelf.configs("a"), seconds=0.05)
    go_on.set()
    looking.join(10)
    assert shelf.answers("a") == 2


def test_no_request_fails_while_versions_change(shelf):
    shelf.put("m", 1)
    shelf.models.start(shelf.configs("m"))
    ended, wrong = threading.Event(), []

    def ask():
        last = 0
        while not ended.is_set():
            answer = shelf.answers("m")
            if isinstance(answer, tuple) or answer < last:
                wrong.append(answer)
            last = answer

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(2, 40):
        shelf.put("m", version)
        shelf.models.look()
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(line for line in shelf.log if line.startswith("closed")) == sorted(
        f"closed m {version}" for version in range(1, 39)
    )
