/** Starting jobs. A start whose answer got lost is repeated with the same key, so that it starts nothing twice. */

import type { Longhaul } from "./client.js";
import type { Execution, NewExecution } from "./generated/types.gen.js";
import { startCallbackExecution, startSyncExecution } from "./generated/sdk.gen.js";
import { answered, type CallOptions } from "./retry.js";
import { executionOf } from "./wait.js";

export interface StartOptions extends CallOptions {
  /** Names this start; made up if absent. Give your own to find the same job again after a crash of yours. */
  idempotencyKey?: string;
}

/** About half a minute: a start is somebody's click, and somebody has to hear that nobody answers. */
const TRIES = 8;

/** Starts a job whose workflow waits for it and holds the result. */
export function startSync(longhaul: Longhaul, job: NewExecution, options?: StartOptions): Promise<Execution> {
  return start(startSyncExecution, longhaul, job, options);
}

/** Starts a job that reports for itself. */
export function startCallback(longhaul: Longhaul, job: NewExecution, options?: StartOptions): Promise<Execution> {
  return start(startCallbackExecution, longhaul, job, options);
}

async function start(
  operation: typeof startSyncExecution | typeof startCallbackExecution,
  client: Longhaul,
  body: NewExecution,
  { idempotencyKey = crypto.randomUUID(), ...options }: StartOptions = {},
): Promise<Execution> {
  const headers = { "Idempotency-Key": idempotencyKey };
  const send = (signal: AbortSignal) => operation({ client, body, headers, signal });
  const { data, response } = await answered(send, { ...options, tries: TRIES });
  // Nothing is only checked without `validateOnly`.
  return executionOf({ data: data?.status === "VALIDATED" ? undefined : data, response });
}
