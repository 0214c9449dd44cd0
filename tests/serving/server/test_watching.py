"""models.config is followed while it can be, and what cannot be followed is told once."""

import threading

from mmkeras.serving.server.watching import Watch


def written(shelf, *models):
    """Write a models.config and return its path."""
    path = shelf.folder / "models.config"
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{shelf.folder / name}" model_platform: "tensorflow" }}\n'
        for name in models
    )
    path.write_text(f"model_config_list {{\n{entries}}}\n")
    return path


def errors(caplog):
    return [record.message for record in caplog.records if record.levelname == "ERROR"]


def test_an_edit_is_followed_and_a_bad_one_ignored(shelf, caplog):
    shelf.put("a", 1)
    shelf.put("b", 1)
    shelf.models.start(shelf.configs("a"))
    path = written(shelf, "a")
    watch = Watch(shelf.models, 0, path, path.read_bytes())
    watch.look()
    assert shelf.log == ["loaded a 1"]
    path.write_text("model_config_list { config { nam")
    for _ in range(3):
        watch.look()
    assert shelf.answers("a") == 1
    assert len(errors(caplog)) == 1 and "is ignored" in errors(caplog)[0] and "1:30" in errors(caplog)[0]
    path.unlink()
    watch.look()
    assert shelf.answers("a") == 1
    written(shelf, "b")
    watch.look()
    assert (shelf.answers("a")[0], shelf.answers("b")) == ("NOT_FOUND", 1)
    shelf.models.reload(shelf.configs("a"))  # by a request: it holds until the next edit
    watch.look()
    assert shelf.answers("a") == 1
    written(shelf, "a", "b")
    shelf.put("a", 2)
    watch.look()
    assert (shelf.answers("a"), shelf.answers("b")) == (2, 1)


def test_an_edit_ahead_of_its_model_is_followed_when_the_model_comes(shelf, caplog):
    shelf.put("a", 1)
    shelf.models.start(shelf.configs("a"))
    watch = Watch(shelf.models, 0, written(shelf, "a", "b"))
    for _ in range(3):
        watch.look()
    assert len(errors(caplog)) == 1 and "Could not find base path" in errors(caplog)[0]
    shelf.put("b", 1)
    watch.look()
    assert shelf.answers("b") == 1


def test_folders_are_looked_at_although_the_file_is_bad(shelf):
    shelf.put("a", 1)
    shelf.models.start(shelf.configs("a"))
    shelf.put("a", 2)
    path = shelf.folder / "models.config"
    path.write_text("}")
    Watch(shelf.models, 0, path).look()
    assert shelf.answers("a") == 2


def test_the_thread_looks_and_survives_an_error(shelf, monkeypatch, caplog):
    looks, third = [], threading.Event()

    def look():
        looks.append(1)
        if len(looks) == 3:
            third.set()
        raise RuntimeError("out of luck")

    monkeypatch.setattr(shelf.models, "look", look)
    watch = Watch(shelf.models, 0.01)
    watch.start()
    assert third.wait(5)
    watch.end()
    watch.join()
    assert "Looking for new versions failed" in errors(caplog)
