"""The main job in one process: glyphs, train, evaluate, export, serve, query.

    scripts/demo.sh

Success looks like this: a recall table of 1,000 characters that training never saw, a parity table that says "equal"
on every line, two answered queries, and the paths of the report, the run folder and the SavedModel. Settings of the
recipe can be laid over it: scripts/demo.sh epochs=2
"""

import sys
import time
from pathlib import Path

RECIPE = "glyphs_dual_encoder"
NAME = "glyphs"
QUERY = "greek small letter omega with tonos"


def main(settings):
    """Run every step; return the exit code."""
    start = time.perf_counter()
    root = Path(__file__).resolve().parent.parent

    def step(text):
        print(f"\n=== {text}  [{time.perf_counter() - start:.0f} s]", flush=True)

    step("Loading TensorFlow")
    from mmkeras.console import print_answer, print_metrics, print_parity, quiet_tensorflow

    quiet_tensorflow()
    from mmkeras.data import Glyphs, contact_sheet
    from mmkeras.evaluation.report.run_report import evaluate_run
    from mmkeras.export import export_run
    from mmkeras.parity import check_parity, golden_of
    from mmkeras.query import ask
    from mmkeras.search import EmbeddingIndex
    from mmkeras.serving import Client, EmbeddedServer
    from mmkeras.training import Recipe, Run, train

    recipe = Recipe.load(RECIPE, settings)
    run = Run.create(root / "runs" / f"demo-{time.strftime('%Y%m%d-%H%M%S')}", RECIPE, recipe)

    step("Drawing the glyphs (once; then from the cache)")
    glyphs = Glyphs()
    test = glyphs.split("test").one_image_an_item()
    contact_sheet(test.images).save(run.file("contact_sheet.png"))
    print(f"{len(glyphs.names):,} characters, {len(glyphs.pixels):,} pictures; {len(test.texts):,} characters held out")

    step(f"Training {RECIPE}")
    model = train(run)

    step("Evaluating on characters that training never saw")
    print_metrics("glyphs/test", evaluate_run(run, "test", model=model).metrics)

    step("Exporting")
    version = export_run(run, root / "savedmodels" / NAME, model=model)
    print(version.relative_to(root))

    step("Serving and asking")
    index = EmbeddingIndex(version / "assets.extra" / "index")
    with EmbeddedServer(version.parent) as server, Client(server.address, NAME) as client:
        comparisons = check_parity(golden_of(version), client.predict)
        print_parity("The server against Keras", comparisons)
        answers = [ask(QUERY, index, server.address, NAME)]
        picture = run.file("query.png")
        picture.write_bytes(index.picture(answers[0].results[0].item))
        answers.append(ask(str(picture), index, server.address, NAME))
    for answer in answers:
        print_answer(answer)

    step("Done")
    print(f"Report      {run.file('report.html')}")
    print(f"Run folder  {run.folder}")
    print(f"SavedModel  {version}")
    print("\nNext, in this folder:")
    print("  .venv/bin/mmkeras serve savedmodels/glyphs --ui   # gRPC on 127.0.0.1:8500, and a page to search with;")
    print("                                                    # then, from another terminal:")
    print(f'  .venv/bin/mmkeras query "{QUERY}" --html answer.html')
    print("  .venv/bin/mmkeras train glyphs_dual_encoder epochs=12")
    return 0 if all(comparison.passed for comparison in comparisons) else 1


if __name__ == "__main__":
    from mmkeras.errors import MmkerasError

    try:
        sys.exit(main(sys.argv[1:]))
    except MmkerasError as error:
        sys.exit(f"demo: error: {error}")
