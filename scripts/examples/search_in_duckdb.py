"""Search what mmkeras embed wrote in DuckDB, which reads the Parquet files by itself.

    pip install duckdb
    python scripts/examples/search_in_duckdb.py embeddings a.jpg

Prints a table of the five items nearest to one of them, best first. Embeddings have unit norm: the inner product is the
cosine. Any column of the files can stand in the WHERE.
"""

import sys

import duckdb

folder, item = sys.argv[1:]
# A table: of a view DuckDB 2.0 multiplies rows too that have no embedding, and refuses them.
duckdb.sql(f"CREATE TABLE items AS SELECT * FROM read_parquet('{folder}/*.parquet') WHERE embedding IS NOT NULL")
found = duckdb.execute(
    "SELECT id, text, list_inner_product(embedding, (SELECT embedding FROM items WHERE id = $item)) AS score "
    "FROM items WHERE id <> $item ORDER BY score DESC LIMIT 5",
    {"item": item},
)
for name, text, score in found.fetchall():
    print(f"{score:.4f}  {name}  {text}")
