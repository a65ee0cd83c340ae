/** Every operation of the API as in the OpenAPI document: no retries, and errors are returned. Pass `longhaul.client` as `client`. */

export * from "./generated/sdk.gen.js";
