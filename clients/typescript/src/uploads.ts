/** Files that are too large for a request. */

import { body } from "./body.js";
import type { Connection } from "./connection.js";
import { createUpload } from "./generated/sdk.gen.js";
import type { NewUpload, UploadTarget } from "./generated/types.gen.js";
import type { CallOptions } from "./options.js";

export class Uploads {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Where a file of this size and digest can be uploaded. Send it there, with the method, URL and headers of the response, and then
   * start a job with its `uploadId` as `inputUpload`.
   */
  async create(file: NewUpload, options?: CallOptions): Promise<UploadTarget> {
    return body(
      await this.#connection.answered((client, signal) => createUpload({ client, body: file, signal }), options),
    );
  }
}
