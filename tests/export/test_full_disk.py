"""Files that cannot grow, as on a full disk: no version appears, the old one is served, and the next export works."""

import contextlib
import resource
import shutil

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.export import export_run
from mmkeras.serving import Client, EmbeddedServer

SHARD = "variables/variables.data-00000-of-00001"


@contextlib.contextmanager
def files_of_at_most(size):
    """The system refuses to write a file further than that; Python has the signal that comes with it ignored."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["saved_model.pb", SHARD])
def test_the_old_version_is_served_until_an_export_fits(tiny_run, tiny_version, tiny_model, tmp_path, file):
    base_path = tmp_path / "tiny"
    shutil.copytree(tiny_version, base_path / "1")
    with EmbeddedServer(base_path, poll_seconds=0) as server, Client(server.address, "tiny", timeout=20) as client:
        embedding = client.encode_text(["snowman"])
        with pytest.raises(MmkerasError) as caught, files_of_at_most((tiny_version / file).stat().st_size - 1):
            export_run(tiny_run, base_path, model=tiny_model)
        told = str(caught.value)
        assert told.startswith(f"The SavedModel {base_path / '2'} could not be written: {base_path / '2'}/")
        assert told.endswith("; File too large") and ".tmp-" not in told
        assert [path.name for path in base_path.iterdir()] == ["1"]
        server.models.look()
        assert server.version == 1
        np.testing.assert_array_equal(client.encode_text(["snowman"]), embedding)
        assert export_run(tiny_run, base_path, model=tiny_model) == base_path / "2"
        server.models.look()
        assert server.version == 2
        np.testing.assert_allclose(client.encode_text(["snowman"]), embedding, atol=1e-6)
