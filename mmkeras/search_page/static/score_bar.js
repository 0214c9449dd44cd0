/** A score beside those that random pairs of this model have. */

import { decimal, drawn, element } from "./elements.js";

const WIDTH = 320;
const HEIGHT = 56;

/**
 * A drawing and a sentence that place a score; nothing where the export knows no random pairs.
 * @param {number} score
 * @param {{random_mean: ?number, random_deviation: ?number, threshold: ?number}} scores
 */
export function scoreBar(score, { random_mean: mean, random_deviation: deviation, threshold }) {
  if (!Number.isFinite(mean) || !(deviation > 0)) return null;
  const shown = [mean - 3.5 * deviation, mean + 3.5 * deviation, score, ...(Number.isFinite(threshold) ? [threshold] : [])];
  const [least, most] = [Math.min(...shown), Math.max(...shown)];
  const x = (value) => 6 + ((WIDTH - 12) * (value - least)) / (most - least);
  const floor = HEIGHT - 8;
  const bell = Array.from({ length: 61 }, (_, step) => {
    const away = -3.5 + (7 * step) / 60;
    return `${x(mean + away * deviation).toFixed(1)} ${(floor - (floor - 6) * Math.exp((-away * away) / 2)).toFixed(1)}`;
  });
  const above = (score - mean) / deviation;
  const says =
    `${Math.abs(above).toFixed(1)} deviations ${above < 0 ? "below" : "above"} the mean of random pairs (${decimal(mean)})` +
    (Number.isFinite(threshold) ? `; nine searches in ten find a score of ${decimal(threshold)} or more` : "");
  return element(
    "figure",
    { class: "score-bar" },
    drawn(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Score ${decimal(score)}: ${says}` },
      drawn("path", { class: "bell", d: `M${x(mean - 3.5 * deviation)} ${floor}L${bell.join("L")}L${x(mean + 3.5 * deviation)} ${floor}Z` }),
      drawn("line", { class: "axis", x1: 6, x2: WIDTH - 6, y1: floor, y2: floor }),
      Number.isFinite(threshold) ? drawn("line", { class: "threshold", x1: x(threshold), x2: x(threshold), y1: 6, y2: floor + 5 }) : null,
      drawn("circle", { class: "mark", cx: x(score), cy: floor, r: 5.5 }),
    ),
    element("figcaption", { "aria-hidden": "true" }, `${says}.`),
  );
}
