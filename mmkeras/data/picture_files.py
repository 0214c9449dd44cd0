"""`PictureFiles`: where the pictures of a captions file lie, a folder or a zip."""

import collections
import threading
import zipfile
import zlib
from pathlib import Path

from mmkeras.archives import read_member
from mmkeras.errors import MmkerasError

# What reading a member of a damaged, encrypted or exotic zip raises.
UNREADABLE = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


class PictureFiles:
    """Pictures by name: the files of a folder, or the members of a zip, which is read in place.

    Args:
        place: a folder, a zip, or a folder within a zip, such as `pictures.zip/images`.
        outside: whether a name may lead out of the folder: by `../`, as an absolute path, or over a symbolic link. A
            captions file of somebody else could put any picture of this machine into a report or an export so.

    A picture of a zip is judged by the size that it declares, 256 MiB at most, and never unpacks to more.

    Raises:
        MmkerasError: there is no such place, or a file that is no zip.

    Example:
        >>> PictureFiles("flickr8k/images_160.zip").find("1000268201_693b08cb0e.jpg").read_bytes()
    """

    def __init__(self, place, outside=False):
        self.place = Path(place)
        self.outside = outside
        self.archive = None
        if self.place.is_dir():
            return
        file = next((path for path in (self.place, *self.place.parents) if path.is_file()), None)
        if file is None:
            raise MmkerasError(f"Expected image_folder to be a folder or a zip. Received: {place}, which is not there")
        try:
            self.archive = zipfile.ZipFile(file)
        except UNREADABLE as error:
            raise MmkerasError(
                f"Expected image_folder to be a folder or a zip. Received: {file}, which is no readable zip: {error}"
            ) from error
        self.file = file
        self.inside = self.place.relative_to(file).as_posix()
        self.lock = threading.Lock()
        self.count = collections.Counter(info.filename for info in self.archive.infolist() if not info.is_dir())

    def find(self, name):
        """Return what reads one picture, a `pathlib.Path` or the like of one: it has `read_bytes()`.

        Raises:
            MmkerasError: no such picture, one outside the folder, or a zip that holds it more than once.
        """
        if self.archive is None:
            return self._find_file(name)
        member = name if self.inside == "." else f"{self.inside}/{name}"
        if self.count[member] > 1:
            raise MmkerasError(f"the picture {name} is in {self.place} {self.count[member]} times. Leave one of them")
        if not self.count[member]:
            elsewhere = next((other for other in self.count if other.endswith(f"/{name}")), None)
            hint = elsewhere and f". It has {elsewhere}: give image_folder {self.file / elsewhere[: -len(name) - 1]}"
            raise MmkerasError(f"the picture {name} is missing in {self.place}{hint or ''}")
        return _Member(self, member)

    def _find_file(self, name):
        file = self.place / name
        try:
            there = file.is_file()
            inside = self.outside or file.resolve().is_relative_to(self.place.resolve())
        except (OSError, ValueError, RuntimeError) as error:  # a name of 300 characters, links in a circle
            reason = getattr(error, "strerror", None) or error
            raise MmkerasError(f"the picture {name[:80]} cannot be looked for in {self.place}: {reason}") from error
        if not inside:
            raise MmkerasError(
                f"the picture {name} lies outside of {self.place}. Allow that with pictures_outside=true, if you trust "
                "the file"
            )
        if not there:
            raise MmkerasError(f"the picture {name} is missing in {self.place}")
        return file


class _Member:
    """A picture in a zip."""

    def __init__(self, files, name):
        self.files = files
        self.name = name

    def __str__(self):
        return f"{self.files.file}/{self.name}"

    def read_bytes(self):
        try:
            with self.files.lock:  # pictures are read by several threads, and a zip is one open file
                return read_member(self.files.archive, self.name)
        except UNREADABLE as error:
            raise MmkerasError(f"{self.name} in {self.files.file} cannot be read: {error}") from error
