/** Repeats a call until it is answered: connections break, servers are started anew, and AWS throttles. */

import { ApiError, errorOf } from "./errors.js";

export interface CallOptions {
  /** Ends the call, and all waiting. The job goes on. */
  signal?: AbortSignal;
  /** Hears of every failure that is going to be followed by another try. */
  onRetry?: (error: Error) => void;
}

/** What a generated operation resolves to; without a response the request was never answered. */
interface Outcome<Data> {
  data?: Data | undefined;
  error?: unknown;
  response?: Response;
}

/** An API Gateway answers within 30 s or never; a connection that died in silence would be waited for without end. */
const REQUEST_MS = 35_000;
/** About half a minute: a call is somebody's click, and somebody has to hear that nobody answers. */
const TRIES = 8;
const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 10_000;
/** Longer pauses are cut to this: a timer of more than 24 days would fire at once. */
const LONGEST_PAUSE_MS = 3_600_000;

/** Failures that another try may not meet. What fails before a request is on its way is the caller's own mistake. */
const passing = new WeakSet<Error>();

/** How Node, Chrome, Firefox and Safari say that there was no connection: an `Authorize` may need one of its own. */
const NO_CONNECTION = /^(fetch failed|terminated|failed to fetch|network ?error|load failed)/i;

/** Sends a request, and hears the answer out: one that breaks off fails here, as one that never came does. */
export async function sent(request: Request, send: typeof fetch): Promise<Response> {
  try {
    const response = await send(request);
    await response.clone().arrayBuffer();
    return response;
  } catch (error) {
    // `fetch` has no other type for a connection that broke.
    if (error instanceof TypeError) passing.add(error);
    throw error;
  }
}

/** The first answer that is not a passing failure: a success, or "not modified". Everything else is thrown. */
export async function answered<Data>(
  call: (signal: AbortSignal) => Promise<Outcome<Data>>,
  { signal, onRetry, tries = TRIES }: CallOptions & { tries?: number } = {},
): Promise<{ data: Data | undefined; response: Response }> {
  for (let failures = 1; ; failures++) {
    signal?.throwIfAborted();
    try {
      const timeout = AbortSignal.timeout(REQUEST_MS);
      const ended = signal ? AbortSignal.any([signal, timeout]) : timeout;
      const { data, error, response } = await call(ended).catch(unread);
      if (response === undefined) throw error;
      if (!response.ok && response.status !== 304) throw errorOf(response, error);
      return { data, response };
    } catch (error) {
      signal?.throwIfAborted();
      if (failures >= tries || !isPassing(error)) throw error;
      onRetry?.(error);
      const backoff = Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), LONGEST_BACKOFF_MS);
      const wished = error instanceof ApiError ? retryAfter(error.response) : undefined;
      await pause(Math.max(backoff, wished ?? 0), signal);
    }
  }
}

/** An operation itself throws a SyntaxError only when the JSON of its answer broke off. */
function unread(error: unknown): never {
  if (error instanceof SyntaxError) passing.add(error);
  throw error;
}

/** Request Timeout, Too Early and Too Many Requests: of all 4xx only these say that the same request may succeed later. */
const TRANSIENT_4XX = [408, 425, 429];

function isPassing(error: unknown): error is Error {
  if (error instanceof ApiError) {
    const { status } = error.response;
    return TRANSIENT_4XX.includes(status) || status >= 500;
  }
  if (error instanceof DOMException) return error.name === "TimeoutError";
  if (error instanceof TypeError && NO_CONNECTION.test(error.message)) return true;
  return error instanceof Error && passing.has(error);
}

/** Milliseconds, if the answer says: `Retry-After` has seconds or a date. */
export function retryAfter(response: Response): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

/** At least this long, and up to a quarter longer, so that those who began together do not come back together. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      },
      Math.min(ms, LONGEST_PAUSE_MS) * (1 + Math.random() / 4),
    );
    signal?.addEventListener("abort", abort, { once: true });
  });
}
