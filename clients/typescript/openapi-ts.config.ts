import { defineConfig } from "@hey-api/openapi-ts";

export default defineConfig({
  input: "../../openapi.yaml",
  output: { path: "src/generated", importFileExtension: ".js" },
  plugins: [
    // The document's server is "wherever this document is": a client has to say where.
    { name: "@hey-api/client-fetch", baseUrl: false },
    // SigV4 signs a whole request, so `Authorize` does it, and bearer tokens with it.
    { name: "@hey-api/sdk", auth: false },
    "@hey-api/typescript",
  ],
});
