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
}

export function createLonghaul({ baseUrl, authorize, fetch: send }: LonghaulOptions): Longhaul {
  // As a request will have it: on a page it may be the page's own origin.
  const { url } = new Request(baseUrl);
  if (!/^https?:/.test(url)) throw new TypeError(`baseUrl has to begin with https:// or http://, unlike ${baseUrl}`);
  return createClient(
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
}
