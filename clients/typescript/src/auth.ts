/** Authenticates requests. */

/**
 * Adds authentication to a request. It is called for every attempt, so that it can use a fresh token. If it throws, the call fails
 * without a retry. If it throws because a connection of its own failed, for example to fetch a token, the call is retried.
 */
export type Authorize = (request: Request) => void | Promise<void>;

/** Sends a bearer token. Pass the token, or a function that fetches it. */
export function bearer(token: string | (() => string | Promise<string>)): Authorize {
  return async (request) => {
    const current = typeof token === "string" ? token : await token();
    request.headers.set("authorization", `Bearer ${current}`);
  };
}
