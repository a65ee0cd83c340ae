/** Starts jobs on Longhaul, waits for them as long as they take, and hands back what they made. */

export { bearer } from "./auth.js";
export type { Authorize } from "./auth.js";
export { history, list, logs, jobs } from "./browse.js";
export type { HistoryFilter, ListFilter, LogOptions } from "./browse.js";
export { createLonghaul } from "./client.js";
export type { Longhaul, LonghaulOptions } from "./client.js";
export { ApiError, ExecutionFailed, ProblemError } from "./errors.js";
export type {
  CancelledExecution,
  CancellingExecution,
  CompletedExecution,
  Execution,
  FailedExecution,
  FinalExecution,
  PendingExecution,
  RunningExecution,
  TimedOutExecution,
  UnsuccessfulExecution,
} from "./execution.js";
export type * from "./generated/types.gen.js";
export type { CallOptions } from "./retry.js";
export { runCallback, runSync } from "./run.js";
export type { Completed, RunOptions } from "./run.js";
export { sigV4 } from "./sigv4.js";
export type { AwsCredentials, SigV4Options } from "./sigv4.js";
export { cancel, rerun, startCallback, startSync } from "./start.js";
export type { StartOptions } from "./start.js";
export { get, isFinal, waitFor } from "./wait.js";
export type { WaitOptions } from "./wait.js";
