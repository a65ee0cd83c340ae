/** Every operation of the API as it stands in the OpenAPI document: no retries, no errors thrown. */

export * from "./generated/sdk.gen.js";
