import shutil

import pytest

from mmkeras.training import Run


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    """A copy of the finished run that a test may spoil."""
    return Run(shutil.copytree(tiny_run.folder, tmp_path / "run"))
