/** A client of one installation of Longhaul. */

import type { Authorize } from "./auth.js";
import { Batches } from "./batches.js";
import { Connection, sending } from "./connection.js";
import { Executions } from "./executions.js";
import { type Client, createClient, createConfig } from "./generated/client/index.js";
import type { AnyJobs, JobTypes } from "./job-types.js";
import { JobCatalog } from "./jobs.js";
import { type Settings, settled } from "./options.js";
import { Schedules } from "./schedules.js";
import { Uploads } from "./uploads.js";

export interface LonghaulOptions extends Settings {
  /** The URL of the installation, including its stage: `make deploy` prints it as `ApiUrl`. */
  baseUrl: string;
  /** `bearer(…)` or `sigV4(…)`; the local stack needs neither. */
  authorize?: Authorize;
  /** Sends requests. The default is the platform's `fetch`. */
  fetch?: typeof globalThis.fetch;
  /**
   * Parses the JSON of every successful response. The default is `JSON.parse`, which silently rounds integers beyond 2^53. If the
   * results of your jobs contain such integers, pass a parser that preserves them.
   */
  parseJson?: (text: string) => unknown;
}

/** `Jobs` names the jobs of the installation, with the types of their inputs and results. Without it, any job may be named. */
export class Longhaul<Jobs extends JobTypes<Jobs> = AnyJobs> {
  readonly executions: Executions<Jobs>;
  readonly batches: Batches<Jobs>;
  readonly jobs: JobCatalog;
  readonly schedules: Schedules;
  readonly uploads: Uploads;
  /** The generated client, for the operations of `@longhaul/client/operations`. */
  readonly client: Client;

  constructor({ baseUrl, authorize, fetch, parseJson, ...settings }: LonghaulOptions) {
    // Resolved as in a request: on a web page, a relative URL is relative to the page.
    const { url } = new Request(baseUrl);
    if (!/^https?:/.test(url)) throw new TypeError(`baseUrl is ${baseUrl}; it must begin with https:// or http://`);
    this.client = createClient(
      createConfig({
        baseUrl: baseUrl.replace(/\/+$/, ""),
        // The generated client's default serializer silently turns BigInts into strings.
        bodySerializer: JSON.stringify,
        fetch: sending(fetch, authorize),
      }),
    );
    if (parseJson) parseWith(this.client, parseJson);
    const connection = new Connection(this.client, settled(settings));
    this.executions = new Executions(connection);
    this.batches = new Batches(connection);
    this.jobs = new JobCatalog(connection);
    this.schedules = new Schedules(connection);
    this.uploads = new Uploads(connection);
  }
}

function parseWith(client: Client, parseJson: (text: string) => unknown): void {
  client.interceptors.response.use(async (response, _, options) => {
    const text = await response.clone().text();
    options.responseTransformer = async () => parsedBy(parseJson, text);
    return response;
  });
}

/** Wraps an error of the caller's parser, so that it is not taken for an incomplete response, which would be requested again. */
function parsedBy(parseJson: (text: string) => unknown, text: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw new Error(`parseJson cannot read a response: ${cause}`, { cause });
  }
}
