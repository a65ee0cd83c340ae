/** A connection to one installation of Longhaul. */

import type { Authorize } from "./auth.js";
import { type Client, createClient, createConfig } from "./generated/client/index.js";
import { sent } from "./retry.js";

/** An installation, and who calls it. It is the generated client, so that every generated operation takes it. */
export type Longhaul = Client;

export interface LonghaulOptions {
  /** Where the installation is, its stage included: what `make deploy` prints as `ApiUrl`. */
  baseUrl: string;
  /** `bearer(…)` or `sigV4(…)`; the local stack needs neither. */
  authorize?: Authorize;
  /** What sends requests, if not the platform's `fetch`. */
  fetch?: typeof globalThis.fetch;
  /**
   * Reads the JSON of every successful answer. `JSON.parse` if absent, which rounds integers beyond 2^53 without a word: give
   * one that does not if your jobs' results have such.
   */
  parseJson?: (text: string) => unknown;
}

export function createLonghaul({ baseUrl, authorize, fetch: send, parseJson }: LonghaulOptions): Longhaul {
  // As a request will have it: on a page it may be the page's own origin.
  const { url } = new Request(baseUrl);
  if (!/^https?:/.test(url)) throw new TypeError(`baseUrl has to begin with https:// or http://, unlike ${baseUrl}`);
  const client = createClient(
    createConfig({
      baseUrl: baseUrl.replace(/\/+$/, ""),
      // The generated one makes strings of BigInts, silently.
      bodySerializer: JSON.stringify,
      fetch: async (input, init) => {
        const request = new Request(input, init);
        await authorize?.(request);
        return sent(request, send ?? globalThis.fetch);
      },
    }),
  );
  if (parseJson) {
    client.interceptors.response.use(async (response, _, options) => {
      const text = await response.clone().text();
      options.responseTransformer = async () => parsedBy(parseJson, text);
      return response;
    });
  }
  return client;
}

/** A mistake of a caller's parser is not an answer that broke off, and so not to be asked for again. */
function parsedBy(parseJson: (text: string) => unknown, text: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw new Error(`parseJson cannot read an answer: ${cause}`, { cause });
  }
}
