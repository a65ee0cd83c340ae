/** Authenticates requests. */

/**
 * Adds authentication to a request. It is called for every attempt, so that it can use a fresh token. If it throws because its own
 * connection failed, for example while it fetched a token, the call is retried. Any other error fails the call without a retry.
 */
export type Authorize = (request: Request) => void | Promise<void>;

/** Sends a bearer token. Pass the token, or a function that fetches it. */
export function bearer(token: string | (() => string | Promise<string>)): Authorize {
  return async (request) => {
    const current = typeof token === "string" ? token : await token();
    request.headers.set("authorization", `Bearer ${current}`);
  };
}
