import { defineConfig } from "@hey-api/openapi-ts";

export default defineConfig({
  input: "../../openapi.yaml",
  output: { path: "src/generated", importFileExtension: ".js" },
  plugins: [
    // The document names the local stack as its server. There is no default URL, so that a client must be given one.
    { name: "@hey-api/client-fetch", baseUrl: false },
    // `Authorize` authenticates requests instead, because SigV4 signs a whole request.
    { name: "@hey-api/sdk", auth: false },
    "@hey-api/typescript",
  ],
});
