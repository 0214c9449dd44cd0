"""Embed a folder of pictures on Apache Spark and write a table of it.

    pip install 'mmkeras[parquet]' pyspark pandas        # on the workers too, which see the model under the same path
    spark-submit serving/embedding/spark_embed.py savedmodels/photos/1 photos table.parquet

Pictures are rows of Spark's own reader, `path` and `content`; any other DataFrame with such a column will do. Each
Python worker of Spark loads the SavedModel once. What is written is a table of Spark's own, with the space of the
embeddings in a column: for a lake and its queries. An index is made of the files of `mmkeras embed`, which an engine
writes with `mmkeras embed --runner`.
Success is a line "Embedded: 8000 pictures, 2 of them failed".
"""

import argparse
import sys
from collections.abc import Iterator

import pyarrow
from pyspark.sql import SparkSession

from mmkeras.embeddings import EncoderSettings

SCHEMA = "id string, embedding array<float>, error string, space_id string"
BATCH = 64


def embed_rows(settings: EncoderSettings, batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
    """Embed rows with `path` and `content`, a batch after the other; what `DataFrame.mapInArrow` calls.

    Args:
        settings: which model embeds.
        batches: of Spark, as many rows each as spark.sql.execution.arrow.maxRecordsPerBatch says.

    Yields:
        batches of the columns of `SCHEMA`.
    """
    encoder = settings.opened()
    for batch in batches:
        embeddings, errors = encoder.encode(batch["content"].to_pylist())
        rows = [None if error else row for row, error in zip(embeddings.tolist(), errors, strict=True)]
        columns = {
            "id": batch["path"],
            "embedding": pyarrow.array(rows, pyarrow.list_(pyarrow.float32())),
            "error": pyarrow.array(errors, pyarrow.string()),
            "space_id": pyarrow.array([encoder.space_id] * len(rows)),
        }
        yield pyarrow.RecordBatch.from_pydict(columns)


def main():
    """Read pictures, embed them and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a version, savedmodels/photos/1")
    parser.add_argument("pictures", help="a folder, or a path of any file system that Spark knows")
    parser.add_argument("table", help="where the table goes; must not exist")
    parser.add_argument("--master", help="spark://host:7077, or local[2]; by default that of spark-submit")
    options = parser.parse_args()
    builder = SparkSession.builder.appName("embed").config("spark.sql.execution.arrow.maxRecordsPerBatch", BATCH)
    spark = (builder.master(options.master) if options.master else builder).getOrCreate()
    settings = EncoderSettings(options.model, "encode_image_tolerant")
    pictures = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(options.pictures)
    embedded = pictures.select("path", "content").mapInArrow(lambda batches: embed_rows(settings, batches), SCHEMA)
    embedded.write.parquet(options.table)
    written = spark.read.parquet(options.table)
    print(f"Embedded: {written.count()} pictures, {written.where('error is not null').count()} of them failed")
    spark.stop()


if __name__ == "__main__":
    sys.exit(main())
