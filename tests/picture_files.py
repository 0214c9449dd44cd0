"""Small pictures and captions files as people have them, for the tests of layouts and stores."""

import io
import tarfile

from PIL import Image


def png(grey=80):
    stream = io.BytesIO()
    Image.new("RGB", (6, 5), (grey,) * 3).save(stream, "PNG")
    return stream.getvalue()


def write_files(folder, *paths, **contents):
    """Write pictures of different greys at some paths, and texts or bytes at others."""
    files = {path: png(10 * grey) for grey, path in enumerate(paths, 1)} | contents.pop("files", {})
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def write_tar(file, members):
    """Write a tar of a dict from a name to its bytes or text."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            content = content if isinstance(content, bytes) else content.encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def records_of(data):
    """The records of `CaptionedPictures` as tuples: picture, captions, split; a drawn split is `None`."""
    return [(one.image, one.captions, None if data.drawn else one.split) for one in data.records]
