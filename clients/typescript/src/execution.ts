/** Executions as a union by status. The OpenAPI document has one flat type, for generators; here the status determines the fields. */

import type { Execution as Flat, Status } from "./generated/types.gen.js";

/** Fields that only some statuses have. */
type Later = "result" | "error" | "finishedAt" | "durationMs" | "exitCode" | "resultSource" | "artifacts";
type Common = Omit<Flat, "status" | "done" | Later>;
type Ended = Required<Pick<Flat, "finishedAt">> & Pick<Flat, "durationMs" | "exitCode" | "resultSource" | "artifacts">;

interface Unfinished<S extends Status> extends Common {
  status: S;
  done: false;
}

interface Unsuccessful<S extends Status> extends Common, Ended {
  status: S;
  done: true;
  /** The result that the job left although the execution did not complete, of any type; `null` if there is none. */
  result: unknown;
  error: NonNullable<Flat["error"]>;
}

/** Accepted for later; it starts at `scheduledFor`. */
export type ScheduledExecution = Unfinished<"SCHEDULED">;
/** Accepted; no task has been started yet. */
export type PendingExecution = Unfinished<"PENDING">;
/** Its task was started. */
export type RunningExecution = Unfinished<"RUNNING">;
/** A caller cancelled it, and its task is being stopped. */
export type CancellingExecution = Unfinished<"CANCELLING">;

/** Its job exited with 0. */
export interface CompletedExecution<Result = unknown> extends Common, Ended {
  status: "COMPLETED";
  done: true;
  /** The job's result; `null` if it has none. */
  result: Result;
}

/** Its job failed, or the platform that runs the job. */
export type FailedExecution = Unsuccessful<"FAILED">;
/** Its deadline passed before its job ended. */
export type TimedOutExecution = Unsuccessful<"TIMED_OUT">;
/** It was stopped because a caller cancelled it. */
export type CancelledExecution = Unsuccessful<"CANCELLED">;
/** No task was started before `startBefore`. */
export type ExpiredExecution = Unsuccessful<"EXPIRED">;

export type UnsuccessfulExecution = FailedExecution | TimedOutExecution | CancelledExecution | ExpiredExecution;
export type FinalExecution<Result = unknown> = CompletedExecution<Result> | UnsuccessfulExecution;
export type Execution<Result = unknown> =
  | ScheduledExecution
  | PendingExecution
  | RunningExecution
  | CancellingExecution
  | FinalExecution<Result>;

/** Whether an execution is over and will not change. */
export function isFinal<Result>(execution: Execution<Result>): execution is FinalExecution<Result> {
  return execution.done;
}
