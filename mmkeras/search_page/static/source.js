/** What this page searches: the server that it comes from. A folder without a server has another file of this name. */
export { source } from "./server_source.js";
