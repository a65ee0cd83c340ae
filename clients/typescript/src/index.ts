/** Starts jobs on Longhaul, waits for them for as long as they take, and returns their results. */

export { bearer } from "./auth.js";
export type { Authorize } from "./auth.js";
export type { Batches, BatchJob, BatchOptions, BatchWaitOptions } from "./batches.js";
export { Longhaul } from "./client.js";
export type { LonghaulOptions } from "./client.js";
export { ApiError, ConnectionError, ExecutionFailed, LonghaulError, ProblemError } from "./errors.js";
export { isFinal } from "./execution.js";
export type {
  CancelledExecution,
  CancellingExecution,
  CompletedExecution,
  Execution,
  ExpiredExecution,
  FailedExecution,
  FinalExecution,
  PendingExecution,
  RunningExecution,
  ScheduledExecution,
  TimedOutExecution,
  UnsuccessfulExecution,
} from "./execution.js";
export type { Executions, HistoryOptions, ListOptions, RerunOptions, RunOptions, StartOptions } from "./executions.js";
export type * from "./generated/types.gen.js";
export type { AnyJobs, JobType, JobTypes } from "./job-types.js";
export type { JobCatalog } from "./jobs.js";
export type { Logger } from "./logger.js";
export type { CallOptions, Settings } from "./options.js";
export type { LogOptions } from "./pages.js";
export type { Schedules, TriggerOptions } from "./schedules.js";
export { sigV4 } from "./sigv4.js";
export type { AwsCredentials, SigV4Options } from "./sigv4.js";
export type { Uploads } from "./uploads.js";
export type { WaitOptions } from "./wait.js";
