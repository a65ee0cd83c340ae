/** Pauses between requests. */

/** Longer pauses are cut to this: a timer of more than 24 days would fire at once. */
const LONGEST_PAUSE_MS = 3_600_000;

/** Pauses for this time or up to a quarter longer, so that clients which started together do not retry together. */
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

/** The `Retry-After` of a response in milliseconds, if there is one. It has seconds or a date. */
export function retryAfter(response: Response): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}
