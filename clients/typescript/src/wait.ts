/** Following an execution, for as long as it takes. */

import type { Longhaul } from "./client.js";
import { ApiError } from "./errors.js";
import { getExecution } from "./generated/sdk.gen.js";
import type { FinalExecution, Execution } from "./execution.js";
import type { Execution as Answer, GetExecutionData } from "./generated/types.gen.js";
import { answered, type CallOptions, pause, retryAfter } from "./retry.js";

export interface WaitOptions extends CallOptions {
  /** Hears of the execution as it is first seen, and of every change of it. */
  onUpdate?: (execution: Execution) => void;
}

/** How long an answer is to be held while nothing changes: what is between us and the API gives up after half a minute. */
const HOLD_S = 20;
/** For an answer whose `Retry-After` nobody let through, as cross-origin browsers do unless it is exposed. */
const POLL_MS = 2_000;

/** Whether nothing will change any more. */
export function isFinal(execution: Execution): execution is FinalExecution {
  return execution.done;
}

/** An execution as it is now. */
export async function get(client: Longhaul, executionId: string, options?: CallOptions): Promise<Execution> {
  const path = { executionId };
  return executionOf(await answered((signal) => getExecution({ client, path, signal }), options));
}

/**
 * Waits until an execution is final, however it ended.
 *
 * Broken connections and a server that is away only make it wait longer: `signal` is what ends it early, and it ends
 * the waiting, not the job. `AbortSignal.timeout(ms)` is a deadline.
 */
export async function waitFor(
  client: Longhaul,
  executionId: string,
  { onUpdate, ...options }: WaitOptions = {},
): Promise<FinalExecution> {
  const path = { executionId };
  let headers: GetExecutionData["headers"] = {};
  for (;;) {
    const began = performance.now();
    const known: string | undefined = headers["If-None-Match"];
    const look = (signal: AbortSignal) => getExecution({ client, path, headers, signal });
    const answer = await answered(look, { ...options, tries: Infinity });
    const { response } = answer;
    const etag = response.headers.get("etag");
    const changed = response.status !== 304 && etag !== known;
    if (changed) {
      const execution = executionOf(answer);
      headers = etag === null ? {} : { "If-None-Match": etag, Prefer: `wait=${HOLD_S}` };
      onUpdate?.(execution);
      if (isFinal(execution)) return execution;
      // This look asked for no hold, since nothing was known yet. The next one does.
      if (known === undefined && etag !== null) continue;
    }
    // Who held its answer is asked again at once. "Not modified" in no time was not held, whatever it says.
    const inNoTime = performance.now() - began < 500 * HOLD_S;
    const held = response.headers.has("preference-applied") && (changed || !inNoTime);
    if (!held) await pause(retryAfter(response) ?? POLL_MS, options.signal);
  }
}

/** What is between us and the API may answer 200 with a page of its own. */
export function executionOf({ data, response }: { data: Answer | undefined; response: Response }): Execution {
  if (typeof data !== "object" || !("executionId" in data)) throw new ApiError(response, data);
  return data as Execution;
}
