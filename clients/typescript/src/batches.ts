/** Batches: many executions that one request starts. */

import { body } from "./body.js";
import type { Connection } from "./connection.js";
import { getBatch, startBatch } from "./generated/sdk.gen.js";
import type { Batch, NewBatchExecution, StartedBatch } from "./generated/types.gen.js";
import type { AnyJobs, InputOf, JobName, JobTypes } from "./job-types.js";
import { type CallOptions, split } from "./options.js";
import { pause, retryAfter } from "./pause.js";

/** One execution of a batch: a job, its input, and whatever else a request may set. */
export type BatchJob<Jobs extends JobTypes<Jobs> = AnyJobs> = {
  [Name in JobName<Jobs>]: Omit<NewBatchExecution, "job" | "input"> & { job: Name; input: InputOf<Jobs, Name> };
}[JobName<Jobs>];

export interface BatchOptions extends CallOptions {
  /** Makes the start idempotent; a new key if absent. Give your own to find the same batch after a crash of your program. */
  idempotencyKey?: string;
}

export interface BatchWaitOptions extends CallOptions {
  /** Called with the batch whenever its counts have changed. */
  onUpdate?: (batch: Batch) => void;
}

/** The interval for a response without `Retry-After`. */
const POLL_MS = 2_000;

export class Batches<Jobs extends JobTypes<Jobs> = AnyJobs> {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Starts up to 1,000 executions. Each is accepted or refused by itself: see `refused`. If the response is lost or only a part could be
   * stored, the request is repeated with the same key, so that it starts exactly what is missing.
   */
  async start(executions: BatchJob<Jobs>[], options: BatchOptions = {}): Promise<StartedBatch> {
    const { call, own } = split(options);
    const headers = { "Idempotency-Key": own.idempotencyKey ?? crypto.randomUUID() };
    const request = { executions };
    return body(
      await this.#connection.answered((client, signal) => startBatch({ client, body: request, headers, signal }), call),
    );
  }

  /** How many executions of a batch are in each state. `executions.list({ batch: batchId })` lists them. */
  async get(batchId: string, options?: CallOptions): Promise<Batch> {
    return (await this.#read(batchId, options)).batch;
  }

  /** Waits until all executions of a batch are over. Takes an id, or what `start` returned. */
  async wait(
    batch: string | Pick<Batch, "batchId">,
    { onUpdate, ...options }: BatchWaitOptions = {},
  ): Promise<Batch> {
    const batchId = typeof batch === "string" ? batch : batch.batchId;
    let known = "";
    for (;;) {
      const { batch, response } = await this.#read(batchId, { maxRetries: Infinity, ...options });
      const counts = JSON.stringify(batch.counts);
      if (counts !== known) onUpdate?.(batch);
      if (batch.done) return batch;
      known = counts;
      await pause(retryAfter(response) ?? POLL_MS, options.signal);
    }
  }

  async #read(batchId: string, options?: CallOptions): Promise<{ batch: Batch; response: Response }> {
    const path = { batchId };
    const answer = await this.#connection.answered((client, signal) => getBatch({ client, path, signal }), options);
    return { batch: body(answer), response: answer.response };
  }
}
