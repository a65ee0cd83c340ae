/** A job as one call: starts it, waits for it, and returns its result or throws why there is none. */

import type { Longhaul } from "./client.js";
import { ExecutionFailed } from "./errors.js";
import type { CompletedExecution } from "./execution.js";
import type { NewExecution } from "./generated/types.gen.js";
import { startCallback, startSync, type StartOptions } from "./start.js";
import { waitFor, type WaitOptions } from "./wait.js";

/** An execution that completed, with a result of a known type. */
export type Completed<Result> = Omit<CompletedExecution, "result"> & { result: Result };

export interface RunOptions<Result> extends StartOptions, WaitOptions {
  /** Makes sure that the result is what you expect, as a schema library's `parse` does. Without it nothing does. */
  parse?: (result: unknown) => Result;
}

/** Runs a job whose workflow waits for it. Throws `ExecutionFailed`, `ProblemError`, or the signal's reason. */
export function runSync<Result = unknown>(
  longhaul: Longhaul,
  job: NewExecution,
  options?: RunOptions<Result>,
): Promise<Completed<Result>> {
  return run(startSync, longhaul, job, options);
}

/** Runs a job that reports for itself. Throws as `runSync` does. */
export function runCallback<Result = unknown>(
  longhaul: Longhaul,
  job: NewExecution,
  options?: RunOptions<Result>,
): Promise<Completed<Result>> {
  return run(startCallback, longhaul, job, options);
}

async function run<Result>(
  start: typeof startSync,
  longhaul: Longhaul,
  job: NewExecution,
  { parse = (result) => result as Result, ...options }: RunOptions<Result> = {},
): Promise<Completed<Result>> {
  const { executionId } = await start(longhaul, job, options);
  const execution = await waitFor(longhaul, executionId, options);
  if (execution.status !== "COMPLETED") throw new ExecutionFailed(execution);
  return { ...execution, result: parse(execution.result) };
}
