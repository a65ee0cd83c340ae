/** Sends requests, and retries them after transient failures: broken connections, server restarts, and throttling by AWS. */

import type { Authorize } from "./auth.js";
import { ApiError, ConnectionError, errorOf, requestIdOf } from "./errors.js";
import type { Client } from "./generated/client/index.js";
import { type CallOptions, type Settings, settled } from "./options.js";
import { pause, retryAfter } from "./pause.js";

/** What a generated operation resolves to. There is no response if the connection failed. */
interface Outcome<Data> {
  data?: Data | undefined;
  error?: unknown;
  request?: Request;
  response?: Response;
}

export interface Answer<Data> {
  data: Data | undefined;
  response: Response;
}

const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 10_000;

/** An installation, and how it is called. */
export class Connection {
  constructor(
    readonly client: Client,
    readonly settings: Required<Settings>,
  ) {}

  /**
   * The first response that is not a transient failure: a success, or "not modified". Everything else is thrown. Errors carry the
   * execution that the call is about.
   */
  async answered<Data>(
    call: (client: Client, signal: AbortSignal) => Promise<Outcome<Data>>,
    { signal, onRetry, ...options }: CallOptions = {},
    executionId?: string,
  ): Promise<Answer<Data>> {
    const { timeout, maxRetries, logger } = settled(options, this.settings);
    for (let failures = 0; ; failures++) {
      signal?.throwIfAborted();
      try {
        const began = performance.now();
        const timer = AbortSignal.timeout(timeout);
        const ended = signal ? AbortSignal.any([signal, timer]) : timer;
        const { data, error, request, response } = await call(this.client, ended).catch(unread);
        if (response === undefined) throw error;
        const { status } = response;
        const durationMs = Math.round(performance.now() - began);
        const about = { method: request?.method, url: request?.url, status, requestId: requestIdOf(response), durationMs };
        logger.debug("longhaul: response", about);
        if (!response.ok && status !== 304) throw errorOf(response, error, executionId);
        return { data, response };
      } catch (thrown) {
        signal?.throwIfAborted();
        if (!isTransient(thrown)) throw thrown;
        const error = thrown instanceof ApiError ? thrown : noConnection(thrown, executionId);
        if (failures >= maxRetries) throw error;
        const backoff = Math.min(FIRST_BACKOFF_MS * 2 ** failures, LONGEST_BACKOFF_MS);
        const wished = error instanceof ApiError ? retryAfter(error.response) : undefined;
        const pauseMs = Math.max(backoff, wished ?? 0);
        logger.warn("longhaul: retry", { error: error.message, retry: failures + 1, pauseMs, executionId });
        onRetry?.(error);
        await pause(pauseMs, signal);
      }
    }
  }
}

/** The connection of an instance, from its options. */
export function sending(send: typeof globalThis.fetch | undefined, authorize: Authorize | undefined): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    await authorize?.(request);
    return sent(request, send ?? globalThis.fetch);
  };
}

/** Errors of failed connections and incomplete responses. They are retried, unlike a TypeError that is the caller's mistake. */
const transient = new WeakSet<Error>();

/** The messages with which Node, Chrome, Firefox and Safari report a failed connection, including one of `Authorize`. */
const NO_CONNECTION = /^(fetch failed|terminated|failed to fetch|network ?error|load failed)/i;

/** Sends a request and reads the whole response, so that an incomplete response fails here, like a failed connection. */
async function sent(request: Request, send: typeof fetch): Promise<Response> {
  try {
    const response = await send(request);
    await response.clone().arrayBuffer();
    return response;
  } catch (error) {
    // `fetch` has no other type for a connection that broke.
    if (error instanceof TypeError) transient.add(error);
    throw error;
  }
}

/** An operation itself throws a SyntaxError only if the JSON of its response is incomplete. */
function unread(error: unknown): never {
  if (error instanceof SyntaxError) transient.add(error);
  throw error;
}

/** Request Timeout, Too Early and Too Many Requests: the only 4xx after which the same request may succeed. */
const TRANSIENT_4XX = [408, 425, 429];

function isTransient(error: unknown): error is Error {
  if (error instanceof ApiError) return TRANSIENT_4XX.includes(error.status) || error.status >= 500;
  if (error instanceof DOMException) return error.name === "TimeoutError";
  if (error instanceof TypeError && NO_CONNECTION.test(error.message)) return true;
  return error instanceof Error && transient.has(error);
}

function noConnection(cause: Error, executionId: string | undefined): ConnectionError {
  return new ConnectionError(`no response: ${cause.message}`, { executionId, cause });
}
