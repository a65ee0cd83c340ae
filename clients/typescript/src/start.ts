/**
 * Starting jobs, again and for the first time, and stopping them. A start whose answer got lost is repeated with the same
 * key, so that it starts nothing twice.
 */

import type { Longhaul } from "./client.js";
import type { Execution } from "./execution.js";
import type { NewExecution } from "./generated/types.gen.js";
import { cancelExecution, rerunExecution, startCallbackExecution, startSyncExecution } from "./generated/sdk.gen.js";
import { answered, type CallOptions } from "./retry.js";
import { executionOf } from "./wait.js";

export interface StartOptions extends CallOptions {
  /** Names this start; made up if absent. Give your own to find the same job again after a crash of yours. */
  idempotencyKey?: string;
}

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
  return executionOf(await answered((signal) => operation({ client, body, headers, signal }), options));
}

/** Runs the job of an execution again, as a new execution. */
export async function rerun(
  client: Longhaul,
  executionId: string,
  { idempotencyKey = crypto.randomUUID(), ...options }: StartOptions = {},
): Promise<Execution> {
  const again = { client, path: { executionId }, headers: { "Idempotency-Key": idempotencyKey } };
  return executionOf(await answered((signal) => rerunExecution({ ...again, signal }), options));
}

/** Stops an execution. It is `CANCELLED` once its task has stopped: wait for that as for any other end. */
export async function cancel(client: Longhaul, executionId: string, options?: CallOptions): Promise<Execution> {
  const path = { executionId };
  return executionOf(await answered((signal) => cancelExecution({ client, path, signal }), options));
}
