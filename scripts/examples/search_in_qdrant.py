"""Load what mmkeras embed wrote into Qdrant and search there.

    pip install qdrant-client pyarrow
    python scripts/examples/search_in_qdrant.py embeddings a.jpg

Prints the five items nearest to one of them, best first. It runs in this process; for a server name its address,
QdrantClient("http://localhost:6333"). Names of items are payload, since Qdrant's own ids are numbers.
"""

import sys

from pyarrow import parquet
from qdrant_client import QdrantClient, models

folder, item = sys.argv[1:]
rows = [row for row in parquet.read_table(folder).to_pylist() if row["embedding"] is not None]
wanted = next(row["embedding"] for row in rows if row["id"] == item)
client = QdrantClient(":memory:")
size = models.VectorParams(size=len(wanted), distance=models.Distance.COSINE)
client.create_collection("items", vectors_config=size)
payload = [{key: value for key, value in row.items() if key not in ("embedding", "thumbnail")} for row in rows]
client.upload_collection("items", vectors=[row["embedding"] for row in rows], payload=payload)
others = models.Filter(must_not=[models.FieldCondition(key="id", match=models.MatchValue(value=item))])
for point in client.query_points("items", query=wanted, query_filter=others, limit=5).points:
    print(f"{point.score:.4f}  {point.payload['id']}  {point.payload['text']}")
