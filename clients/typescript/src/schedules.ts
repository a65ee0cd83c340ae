/** Schedules: requests that are started again and again. */

import { body, executionOf } from "./body.js";
import type { Connection } from "./connection.js";
import type { Execution } from "./execution.js";
import {
  deleteSchedule,
  getSchedule,
  listSchedules,
  pauseSchedule,
  putSchedule,
  resumeSchedule,
  triggerSchedule,
} from "./generated/sdk.gen.js";
import type { NewSchedule, Schedule, ScheduleSummary } from "./generated/types.gen.js";
import { type CallOptions, split } from "./options.js";

export interface TriggerOptions extends CallOptions {
  /** Makes the start idempotent; a new key if absent. Give your own to find the same execution after a crash of your program. */
  idempotencyKey?: string;
}

export class Schedules {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Defines a schedule, or replaces it. The same definition again changes nothing, so a deployment may repeat it. */
  async put(name: string, schedule: NewSchedule, options?: CallOptions): Promise<Schedule> {
    const path = { name };
    return body(
      await this.#connection.answered(
        (client, signal) => putSchedule({ client, path, body: schedule, signal }),
        options,
      ),
    );
  }

  /** A schedule: its definition, its next five times, and what it has done. */
  async get(name: string, options?: CallOptions): Promise<Schedule> {
    const path = { name };
    return body(
      await this.#connection.answered((client, signal) => getSchedule({ client, path, signal }), options),
    );
  }

  /** The caller's schedules, by name. `executions.list({ schedule: name })` lists what one of them has started. */
  async list(options?: CallOptions): Promise<ScheduleSummary[]> {
    const answer = await this.#connection.answered((client, signal) => listSchedules({ client, signal }), options);
    return body(answer).schedules;
  }

  /** Deletes a schedule. Its executions are not affected. */
  async delete(name: string, options?: CallOptions): Promise<void> {
    const path = { name };
    await this.#connection.answered((client, signal) => deleteSchedule({ client, path, signal }), options);
  }

  /** Pauses a schedule: it starts nothing until it is resumed, except if it is triggered. */
  async pause(name: string, options?: CallOptions): Promise<Schedule> {
    const path = { name };
    return body(
      await this.#connection.answered((client, signal) => pauseSchedule({ client, path, signal }), options),
    );
  }

  /** Resumes a schedule. Times that passed while it was paused are not made up for. */
  async resume(name: string, options?: CallOptions): Promise<Schedule> {
    const path = { name };
    return body(
      await this.#connection.answered((client, signal) => resumeSchedule({ client, path, signal }), options),
    );
  }

  /** Starts a schedule's request now. If the response is lost, the request is repeated with the same key. */
  async trigger(name: string, options: TriggerOptions = {}): Promise<Execution> {
    const { call, own } = split(options);
    const path = { name };
    const headers = { "Idempotency-Key": own.idempotencyKey ?? crypto.randomUUID() };
    return executionOf(
      await this.#connection.answered((client, signal) => triggerSchedule({ client, path, headers, signal }), call),
    );
  }
}
