/** Following an execution, for as long as it takes. */

import { executionOf } from "./body.js";
import type { Connection } from "./connection.js";
import { requestIdOf } from "./errors.js";
import { type Execution, type FinalExecution, isFinal } from "./execution.js";
import { getExecution } from "./generated/sdk.gen.js";
import type { GetExecutionData } from "./generated/types.gen.js";
import { type CallOptions, settled } from "./options.js";
import { pause, retryAfter } from "./pause.js";

export interface WaitOptions extends CallOptions {
  /** Called with the execution when it is first seen, and with every change. */
  onUpdate?: (execution: Execution) => void;
}

/** How long the API is asked to hold a response while nothing changes: API Gateway gives up after half a minute. */
const HOLD_MS = 20_000;
/** How much longer than the hold a request may take. */
const SPARE_MS = 5_000;
/** The interval for a response without `Retry-After`. Browsers hide this header from pages of other origins unless CORS exposes it. */
const POLL_MS = 2_000;

/** The execution once it is final, and the id of the request that saw it. */
export async function waited<Result>(
  connection: Connection,
  executionId: string,
  { onUpdate, ...options }: WaitOptions = {},
): Promise<{ execution: FinalExecution<Result>; requestId: string | undefined }> {
  const path = { executionId };
  const { timeout } = settled(options, connection.settings);
  const holdS = Math.max(0, Math.floor(Math.min(HOLD_MS, timeout - SPARE_MS) / 1000));
  let headers: GetExecutionData["headers"] = {};
  for (;;) {
    const began = performance.now();
    const known: string | undefined = headers["If-None-Match"];
    const answer = await connection.answered(
      (client, signal) => getExecution({ client, path, headers, signal }),
      { maxRetries: Infinity, ...options },
      executionId,
    );
    const { response } = answer;
    const etag = response.headers.get("etag");
    const changed = response.status !== 304 && etag !== known;
    if (changed) {
      const execution = executionOf<Result>(answer, executionId);
      headers = etag === null ? {} : { "If-None-Match": etag, ...(holdS > 0 && { Prefer: `wait=${holdS}` }) };
      onUpdate?.(execution);
      if (isFinal(execution)) return { execution, requestId: requestIdOf(response) };
      // The first request asked for no hold, since nothing was known yet. The next one does.
      if (known === undefined && etag !== null && holdS > 0) continue;
    }
    // After a held response, the next request follows at once. A fast "not modified" was not held, regardless of its headers.
    const fast = performance.now() - began < 500 * holdS;
    const held = response.headers.has("preference-applied") && (changed || !fast);
    if (!held) await pause(retryAfter(response) ?? POLL_MS, options.signal);
  }
}
