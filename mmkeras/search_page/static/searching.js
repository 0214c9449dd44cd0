/** Asking a source while somebody types: one question at a time, later ones replace earlier ones. */

const PAUSE = 120; // ms without a key before a question is asked
const MOST_PAUSE = 15_000; // ms between two tries

/**
 * Asks, asks for more of the same, and asks again by itself what failed in passing.
 *
 * Only the answer to the newest question is shown: an older request is aborted, and should its answer come all the same it is
 * dropped. Where a later page of results comes from another version or state of the index, all of them are asked anew.
 */
export class Searching {
  /**
   * @param {(asked: object, offset: number, signal: AbortSignal) => Promise<object>} ask
   * @param {object} shown called with what happened: `started()`, `answered(answer, asked, offset)`,
   *     `failed(error, milliseconds until the next try or null)`.
   */
  constructor(ask, shown) {
    this.ask = ask;
    this.shown = shown;
    this.number = 0; // of the newest question
    this.tries = 0;
    this.found = null; // the newest answer's first page
    this.asked = null;
    this.count = 0;
    this.busy = false;
  }

  /** Ask; `typing` waits for a pause first. */
  search(asked, typing = false) {
    this.stop();
    this.asked = asked;
    this.tries = 0;
    this.timer = setTimeout(() => this.run(0), typing ? PAUSE : 0);
  }

  /** Forget the question. */
  stop() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.number += 1;
    this.busy = false;
    this.found = null;
    this.asked = null;
    this.count = 0;
  }

  /** Ask for the next results, where there are more and nothing is under way. */
  more() {
    if (this.found?.more && !this.busy) this.run(this.count);
  }

  /** Try at once what failed. */
  retry() {
    if (this.asked) {
      clearTimeout(this.timer);
      this.run(this.found ? this.count : 0);
    }
  }

  async run(offset) {
    this.controller?.abort();
    this.controller = new AbortController();
    this.number += 1;
    const { number, asked } = this;
    this.busy = true;
    this.shown.started();
    let answer, failure;
    try {
      answer = await this.ask(asked, offset, this.controller.signal);
    } catch (error) {
      failure = error;
    }
    if (number !== this.number) return; // somebody has asked something else meanwhile
    this.busy = false;
    if (failure) this.fail(failure);
    else if (offset && isOther(answer, this.found)) this.run(0);
    else {
      this.tries = 0;
      if (!offset) this.count = 0;
      this.count += answer.results.length;
      this.found = offset ? { ...this.found, more: answer.more } : answer;
      this.shown.answered(answer, asked, offset);
    }
  }

  fail(error) {
    let wait = null;
    if (error.passing) {
      wait = Math.max(1000 * (error.seconds ?? 0), Math.min(MOST_PAUSE, 500 * 2 ** this.tries));
      this.tries += 1;
      this.timer = setTimeout(() => this.retry(), wait);
    }
    this.shown.failed(error, wait);
  }
}

/** Whether an answer comes from another version, or another state of the index, than the first one. */
function isOther(answer, first) {
  return ["model", "version", "space_id", "generation"].some((name) => answer[name] !== first[name]);
}
