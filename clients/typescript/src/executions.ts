/** Executions: starting them, following them, and stopping them. */

import { executionOf } from "./body.js";
import type { Connection } from "./connection.js";
import { ExecutionFailed } from "./errors.js";
import type { CompletedExecution, Execution, FinalExecution } from "./execution.js";
import {
  cancelExecution,
  changeExecution,
  getExecution,
  getExecutionHistory,
  listExecutions,
  rerunExecution,
  startCallbackExecution,
  startSyncExecution,
} from "./generated/sdk.gen.js";
import type {
  ExecutionChanges,
  ExecutionSummary,
  GetExecutionHistoryData,
  ListExecutionsData,
  LogLine,
  NewExecution,
  Operation,
  Pattern,
} from "./generated/types.gen.js";
import type { AnyJobs, InputOf, JobName, JobTypes, ResultOf } from "./job-types.js";
import { type CallOptions, split } from "./options.js";
import { logLines, type LogOptions, pages } from "./pages.js";
import { waited, type WaitOptions } from "./wait.js";

export interface RerunOptions extends CallOptions {
  /** Makes the start idempotent; a new key if absent. Give your own to find the same execution after a crash of your program. */
  idempotencyKey?: string;
}

/** How a job is started. Every field of a request may be set, except its job and its input. */
export interface StartOptions extends RerunOptions, Omit<NewExecution, "input" | "job"> {
  /** `sync` (the default): the workflow records the outcome. `callback`: the worker in the task's image does. */
  pattern?: Pattern;
}

export interface RunOptions<Result> extends StartOptions, WaitOptions {
  /** Checks the result and gives it its type, like the `parse` of a schema library. Without it, the result is not checked. */
  parse?: (result: unknown) => Result;
}

/** Which executions; all of the caller's if empty. `pageSize` is how many are fetched at once. */
export interface ListOptions<Name extends string = string>
  extends CallOptions, Omit<NonNullable<ListExecutionsData["query"]>, "pageToken" | "job"> {
  job?: Name;
}

export interface HistoryOptions extends CallOptions, Omit<NonNullable<GetExecutionHistoryData["query"]>, "pageToken"> {}

export class Executions<Jobs extends JobTypes<Jobs> = AnyJobs> {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Starts a job. If the response is lost, the request is repeated with the same key, so that it starts nothing twice. */
  async start<Name extends JobName<Jobs>>(
    job: Name,
    input: InputOf<Jobs, Name>,
    options: StartOptions = {},
  ): Promise<Execution<ResultOf<Jobs, Name>>> {
    const { call, own } = split(options);
    const { pattern = "sync", idempotencyKey = crypto.randomUUID(), ...request } = own;
    const operation = pattern === "callback" ? startCallbackExecution : startSyncExecution;
    const headers = { "Idempotency-Key": idempotencyKey };
    const body = { ...request, job, input };
    return executionOf(
      await this.#connection.answered((client, signal) => operation({ client, body, headers, signal }), call),
    );
  }

  /** Starts a job, waits for it, and returns the execution with its result. Throws `ExecutionFailed` if it does not complete. */
  async run<Name extends JobName<Jobs>, Result = ResultOf<Jobs, Name>>(
    job: Name,
    input: InputOf<Jobs, Name>,
    { parse = (result) => result as Result, onUpdate, ...options }: RunOptions<Result> = {},
  ): Promise<CompletedExecution<Result>> {
    const { executionId } = await this.start(job, input, options);
    const waiting = { ...split(options).call, ...(onUpdate && { onUpdate }) };
    const { execution, requestId } = await waited(this.#connection, executionId, waiting);
    if (execution.status !== "COMPLETED") throw new ExecutionFailed(execution, { requestId });
    return { ...execution, result: parse(execution.result) };
  }

  /** An execution as it is now. */
  async get(executionId: string, options?: CallOptions): Promise<Execution> {
    const path = { executionId };
    return executionOf(
      await this.#connection.answered(
        (client, signal) => getExecution({ client, path, signal }),
        options,
        executionId,
      ),
      executionId,
    );
  }

  /**
   * Waits until an execution is final, however it ended.
   *
   * Takes an id, or what `start` returned. Broken connections and an unreachable server only make it wait longer. `signal` ends
   * the waiting, not the job; `AbortSignal.timeout(ms)` is a deadline.
   */
  async wait<Result = unknown>(
    execution: string | Execution<Result>,
    options?: WaitOptions,
  ): Promise<FinalExecution<Result>> {
    const executionId = typeof execution === "string" ? execution : execution.executionId;
    return (await waited<Result>(this.#connection, executionId, options)).execution;
  }

  /** The caller's executions, newest first. Leave the loop, and no further pages are requested. */
  async *list(options: ListOptions<JobName<Jobs>> = {}): AsyncGenerator<ExecutionSummary, void, undefined> {
    const { call, own } = split(options);
    const all = pages(own, (query) =>
      this.#connection.answered((client, signal) => listExecutions({ client, query, signal }), call),
    );
    for await (const { executions } of all) yield* executions;
  }

  /** Stops an execution. It is `CANCELLED` once its task has stopped: `wait` for that as for any other end. */
  async cancel(executionId: string, options?: CallOptions): Promise<Execution> {
    const path = { executionId };
    return executionOf(
      await this.#connection.answered(
        (client, signal) => cancelExecution({ client, path, signal }),
        options,
        executionId,
      ),
      executionId,
    );
  }

  /** Changes an execution that is `SCHEDULED`: moves it, or changes its latest start or its tags. `null` removes a value. */
  async change(executionId: string, changes: ExecutionChanges, options?: CallOptions): Promise<Execution> {
    const path = { executionId };
    return executionOf(
      await this.#connection.answered(
        (client, signal) => changeExecution({ client, path, body: changes, signal }),
        options,
        executionId,
      ),
      executionId,
    );
  }

  /** Runs the job of an execution again, as a new execution. */
  async rerun(executionId: string, options: RerunOptions = {}): Promise<Execution> {
    const { call, own } = split(options);
    const path = { executionId };
    const headers = { "Idempotency-Key": own.idempotencyKey ?? crypto.randomUUID() };
    return executionOf(
      await this.#connection.answered(
        (client, signal) => rerunExecution({ client, path, headers, signal }),
        call,
        executionId,
      ),
      executionId,
    );
  }

  /** What an execution's task has printed so far, line by line; with `follow`, also what it prints from now on. */
  logs(executionId: string, options: LogOptions = {}): AsyncGenerator<LogLine, void, undefined> {
    return logLines(this.#connection, executionId, options);
  }

  /** What an execution's workflow did, operation by operation. */
  async *history(executionId: string, options: HistoryOptions = {}): AsyncGenerator<Operation, void, undefined> {
    const { call, own } = split(options);
    const path = { executionId };
    const all = pages(
      own,
      (query) =>
        this.#connection.answered(
          (client, signal) => getExecutionHistory({ client, path, query, signal }),
          call,
          executionId,
        ),
      executionId,
    );
    for await (const { operations } of all) yield* operations;
  }
}
