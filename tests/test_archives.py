"""What an archive holds is judged by what it declares, and no more is unpacked."""

import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from mmkeras.archives import check_members, open_arrays, read_member
from mmkeras.data.feature_file import FeatureFile
from mmkeras.data.feature_layouts import find_parts
from mmkeras.data.stores import open_store
from mmkeras.encoders.weights_file import read_weights
from mmkeras.errors import MmkerasError

BOMB = 300 * 2**20


def declare(file, size):
    """Have a zip's only member declare another size than it has."""
    content = bytearray(file.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\x03\x04") + 22, size)
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, size)
    file.write_bytes(content)


@pytest.fixture
def bomb(tmp_path):
    """A zip of 300 kB whose picture declares 1,000 bytes and unpacks to 300 MiB."""
    file = tmp_path / "pictures.zip"
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.png", "w") as out,
    ):
        for _ in range(300):
            out.write(bytes(2**20))
    declare(file, 1000)
    assert file.stat().st_size < 2 * 2**20
    return file


@pytest.fixture
def little_memory():
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 2**20


def test_a_member_never_yields_more_than_it_declares(bomb, little_memory):
    with zipfile.ZipFile(bomb) as archive, pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"):
        read_member(archive, "a.png")
    with pytest.raises(MmkerasError, match=r"a.png in .*pictures.zip cannot be read: Bad CRC-32"):
        open_store(bomb).find("a.png").read_bytes()


def test_a_member_that_declares_too_much_is_not_unpacked(bomb, little_memory):
    declare(bomb, 2**29)
    told = "expected at most 268435456 bytes. Received: a.png of 536870912 bytes"
    with pytest.raises(MmkerasError, match=told):
        open_store(bomb).find("a.png").read_bytes()
    with zipfile.ZipFile(bomb) as archive, pytest.raises(zipfile.BadZipFile, match=told):
        read_member(archive, "a.png")


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("content", [b"", b"a picture", bytes(100_000), np.random.default_rng(0).bytes(100_000)])
def test_an_honest_member_is_read_as_it_is(tmp_path, kind, content):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", kind) as archive:
        archive.writestr("a", content)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert read_member(archive, "a") == content
        assert read_member(archive, "a", len(content)) == content
        check_members(archive)
        with pytest.raises(KeyError, match="no b"):
            read_member(archive, "no b")


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_python_unpacks_at_once_is_refused(tmp_path, kind):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", kind) as archive:
        archive.writestr("a", b"a picture")
    with pytest.raises(MmkerasError, match="expected members that are stored or deflated. Received: a"):
        open_store(tmp_path / "a.zip").find("a").read_bytes()


def array_file(shape, values, descr="<f4"):
    """The bytes of a .npy file whose header promises a shape."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values


@pytest.mark.parametrize("shape", ["(1000000000,)", "(2, 4000000000000)", "(-5, 3)", "(3,)"])
def test_an_array_that_promises_more_than_is_there_is_refused(tmp_path, little_memory, shape):
    file = tmp_path / "features.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image_train.npy", array_file("(2, 2)", np.ones(4, "<f4").tobytes()))
        archive.writestr("features.npy", array_file(shape, b""))
        archive.writestr("names.npy", array_file("(1,)", "a".encode("utf-32-le"), "<U1"))
    size = zipfile.ZipFile(file).getinfo("features.npy").file_size
    if shape != "(3,)":
        told = f"expected an array of at most {size} bytes, as are there. Received: features.npy"
        for read in (FeatureFile, find_parts, read_weights):
            with pytest.raises(MmkerasError, match=told):
                read(file)
    else:  # by the header's own bytes it could be there: NumPy sees that it is not
        with pytest.raises(MmkerasError, match="expected an .npz file of names and features"):
            FeatureFile(file)


def test_arrays_that_declare_too_much_together_are_not_unpacked(tmp_path, little_memory):
    file = tmp_path / "features.npz"
    np.savez_compressed(file, a=np.zeros(50, np.float32), b=np.ones(50, np.float32))
    with open_arrays(file) as arrays:
        assert {name: float(arrays[name].sum()) for name in arrays} == {"a": 0.0, "b": 50.0}
    with pytest.raises(zipfile.BadZipFile, match="expected at most 600 bytes. Received: 656 bytes, once unpacked"):
        with open_arrays(file, max_bytes=600):
            pass


def test_a_matlab_file_is_judged_by_its_declared_shape(tmp_path, little_memory):
    from scipy.io import savemat

    file = tmp_path / "train_img.mat"
    savemat(file, {"I_tr": np.ones([2, 3])})
    content = bytearray(file.read_bytes())
    place = content.index(struct.pack("<LLLL", 5, 8, 2, 3))
    struct.pack_into("<LL", content, place + 8, 2**20, 2**20)
    file.write_bytes(content)
    packed = io.BytesIO(zlib.compress(bytes(content[128:])))
    file.write_bytes(content[:128] + struct.pack("<LL", 15, len(packed.getvalue())) + packed.getvalue())
    for other in ("train_txt.mat", "train_img_lab.mat"):
        savemat(tmp_path / other, {"a": np.ones([2, 1])})
    splits, _ = find_parts(tmp_path)
    with pytest.raises(MmkerasError, match="expected at most 17179869184 bytes. Received: 1099511627776 numbers"):
        splits["train"]["image"].read()
