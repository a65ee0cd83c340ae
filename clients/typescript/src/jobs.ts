/** The jobs of an installation. */

import { body } from "./body.js";
import type { Connection } from "./connection.js";
import { listJobs } from "./generated/sdk.gen.js";
import type { Job } from "./generated/types.gen.js";
import type { CallOptions } from "./options.js";

export class JobCatalog {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The jobs that may be run, sorted by name. */
  async list(options?: CallOptions): Promise<Job[]> {
    return body(await this.#connection.answered((client, signal) => listJobs({ client, signal }), options)).jobs;
  }
}
