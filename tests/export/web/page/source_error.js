/**
 * Why a source gave no answer, in one sentence for people.
 *
 * `passing` says that asking again may help, as with a server that is away: the page then tries by itself. `status` is
 * that of HTTP, 0 where nothing answered.
 */
export class SourceError extends Error {
  constructor(message, { passing = false, status = 0, seconds = 0 } = {}) {
    super(message);
    this.passing = passing;
    this.status = status;
    this.seconds = seconds; // until the server wants to be asked again, 0 where it says nothing
  }
}
