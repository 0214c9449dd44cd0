"""Search an index for devices by its layout alone, with nothing but Python.

python read_index.py device/index query.json 5         query.json: an embedding, a list of numbers
"""

import array
import json
import struct
import sys
from pathlib import Path


def read_numbers(file):
    """Return the numbers of an .npy file: ten bytes, the last two the length of a header, and that header first."""
    content = file.read_bytes()
    start = 10 + int.from_bytes(content[8:10], "little")
    code = next(code for name, code in {b"|i1": "b", b"<f4": "f", b"<i8": "q"}.items() if name in content[:start])
    return array.array(code, content[start:])


folder, query, k = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3])
manifest = json.loads((folder / "index.json").read_text())
dim, found = manifest["dim"], []
for segment in manifest["segments"]:
    place = folder / segment["name"]
    values, scales = read_numbers(place / "image_embeddings.npy"), read_numbers(place / "image_scales.npy")
    removed = set(read_numbers(folder / segment["removed"])) if "removed" in segment else set()
    lines = (place / "items.jsonl").read_bytes().split(b"\n")
    for row in sorted(set(range(segment["count"])) - removed):
        product = sum(value * part for value, part in zip(values[row * dim : (row + 1) * dim], query, strict=True))
        (score,) = struct.unpack("f", struct.pack("f", product * scales[row]))
        found.append((-score, len(found), lines[row]))
for score, _, line in sorted(found)[:k]:
    print(json.dumps({"id": json.loads(line)["id"], "score": -score}))
