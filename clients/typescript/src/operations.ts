/** Every operation of the API as in the OpenAPI document: no retries, and errors are returned. Takes `longhaul.client`. */

export * from "./generated/sdk.gen.js";
