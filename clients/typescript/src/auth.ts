/** Says who calls. */

/**
 * Puts into a request what proves who sends it. Called for every try anew, so that it may use a fresh token.
 * What it throws ends the call, unless a connection of its own broke: that is tried again too.
 */
export type Authorize = (request: Request) => void | Promise<void>;

/** A bearer token, or what fetches one. */
export function bearer(token: string | (() => string | Promise<string>)): Authorize {
  return async (request) => {
    const current = typeof token === "string" ? token : await token();
    request.headers.set("authorization", `Bearer ${current}`);
  };
}
