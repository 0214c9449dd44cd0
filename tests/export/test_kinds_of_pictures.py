"""Pictures of every kind have one embedding: in Keras, in the exported graph, tolerant or not, and in a bare session.

A bare session, as servers have it, runs what the branches of a conditional take, whichever is gone into.
"""

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.serving.pictures import object_array
from mmkeras.serving.server.servable import Servable

from ..hard_pictures import (
    app1,
    encoded,
    exif,
    jpeg_with,
    photograph,
    png_with,
    shades,
    small_gif,
    webp_with,
)

RGBA = shades().convert("RGBA")
RGBA.putalpha(shades().convert("L"))
PICTURES = {
    "plain JPEG": encoded(shades(), "JPEG"),
    "JPEG on its side": jpeg_with(app1(exif(6))),
    "JPEG behind other segments": jpeg_with(b"\xff\xfe\0\x04ab" * 40 + app1(exif(5))),
    "progressive JPEG": encoded(photograph(40, 30), "JPEG", progressive=True),
    "JPEG that ends in middle grey": encoded(photograph(40, 30).point(lambda value: 128), "JPEG"),
    "JPEG with a second one behind": encoded(shades(), "JPEG") + encoded(photograph(9, 9), "JPEG"),
    "PNG on its side": png_with(exif(8)),
    "PNG with EXIF behind its pixels": png_with(exif(3), behind_pixels=True),
    "PNG with alpha": encoded(RGBA, "PNG"),
    "GIF without a control extension": small_gif(),
    "transparent GIF": encoded(RGBA.convert("P"), "GIF", transparency=3),
    "BMP": encoded(shades(), "BMP"),
    "BMP with a palette": encoded(shades().convert("P"), "BMP"),
    "WebP": encoded(shades(), "WEBP"),
    "WebP with alpha": encoded(RGBA, "WEBP", lossless=True),
    "WebP on its side": webp_with(exif(7)),
    "animated WebP": encoded(RGBA, "WEBP", save_all=True, append_images=[RGBA.rotate(90)]),
}


@pytest.fixture(scope="module")
def expected(build_labelled_model):
    """Embeddings of Keras, by the names of `PICTURES`."""
    model = build_labelled_model()
    pixels = model.image_preprocessor.load(list(PICTURES.values()))
    return dict(zip(PICTURES, np.asarray(model.encode_image(pixels)), strict=True))


@pytest.fixture(scope="module")
def servable(labelled_version):
    servable = Servable(labelled_version, "labelled", 1)
    yield servable
    servable.close()


@pytest.mark.parametrize("name", PICTURES)
def test_one_embedding_in_every_path(name, expected, servable, labelled_signatures):
    for signature in ("encode_image", "encode_image_tolerant"):
        batch = object_array([PICTURES[name]])
        in_session = servable.run(signature, {"image_bytes": batch}, ["embedding"])[0]
        np.testing.assert_allclose(in_session, [expected[name]], atol=1e-6)
        loaded = labelled_signatures[signature](image_bytes=tf.constant(batch))["embedding"]
        np.testing.assert_allclose(loaded, [expected[name]], atol=1e-6)


def test_the_graph_holds_no_operation_that_older_servers_lack(labelled_version):
    graph = tf.saved_model.load(str(labelled_version)).signatures["encode_image"].graph.as_graph_def()
    operations = {node.op for node in graph.node} | {n.op for f in graph.library.function for n in f.node_def}
    assert "DecodeImage" in operations and "DecodeWebP" not in operations
