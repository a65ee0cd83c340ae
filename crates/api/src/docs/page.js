// A Swagger UI plug-in: https://swagger.io/docs/open-source-tools/swagger-ui/customization/plugin-api/
"use strict";

const ID = "executionId";

/** Every operation of the document, with its path and method. */
function operationsOf(document) {
  return Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

/**
 * Turns the examples of parameters into placeholders. Swagger UI would fill in the examples as values, so "Try it out" would send
 * filters, waits and ids that the user has not entered.
 */
function withPlaceholders(document) {
  for (const parameter of operationsOf(document).flatMap(({ operation }) => operation.parameters ?? [])) {
    const { example, schema } = parameter;
    const placeholder = example ?? schema?.example ?? schema?.examples?.[0];
    if (placeholder === undefined) continue;
    delete parameter.example;
    delete schema.example;
    delete schema.examples;
    schema["x-placeholder"] = String(placeholder);
  }
  return document;
}

/** Fills the id of a returned execution into every operation that takes one. */
function fillIn(id, { specActions, specSelectors }) {
  for (const { path, method } of operationsOf(specSelectors.specJson().toJS())) {
    const parameters = specSelectors.specJson().getIn(["paths", path, method, "parameters"]);
    const parameter = parameters?.find((one) => one.get("name") === ID);
    if (parameter) specActions.changeParamByIdentity([path, method], parameter, id, false);
  }
}

/** Opens an operation and scrolls to it. */
function goTo(operationId, { layoutActions, specSelectors }) {
  const found = operationsOf(specSelectors.specJson().toJS()).find(({ operation }) => operation.operationId === operationId);
  const tag = found?.operation.tags[0];
  layoutActions.show(["operations", tag, operationId], true);
  document.getElementById(`operations-${tag}-${operationId}`)?.scrollIntoView();
}

function Longhaul({ React }) {
  const { createElement: element, useState } = React;

  const button = (text, title, onClick) =>
    element("button", { type: "button", className: "link-button", title, onClick }, text);

  /** An input with the parameter's example as its placeholder. Swagger UI uses the description as the placeholder. */
  const text = (Original) => (props) =>
    element(Original, { ...props, description: props.schema?.get("x-placeholder") ?? props.description });

  /** Shows an error as one row with its code and description. A button opens its example. */
  const response = (Original) =>
    function Answer(props) {
      const [isOpen, open] = useState(false);
      const { code, response, className = "", getComponent } = props;
      if (isOpen || !/^[45]/.test(code)) return element(Original, props);
      const Markdown = getComponent("Markdown", true);
      return element(
        "tr",
        { className: `response error-row ${className}`, "data-code": code },
        element("td", { className: "response-col_status" }, code),
        element(
          "td",
          { className: "response-col_description" },
          element("div", { className: "response-col_description__inner" }, element(Markdown, { source: response.get("description") })),
        ),
        element("td", { className: "response-col_links" }, button("Example", `What a ${code} looks like`, () => open(true))),
      );
    };

  /** The headers of a response, initially collapsed. */
  const headers = (Original) => (props) =>
    element("details", null, element("summary", null, "Headers"), element(Original, props));

  /** A link to another operation, which opens it. */
  const operationLink = (_, system) => ({ name, link }) =>
    element(
      "div",
      { className: "answer-link" },
      button(name, link.get("description"), () => goTo(link.get("operationId"), system)),
    );

  return {
    wrapComponents: { JsonSchema_string: text, headers, operationLink, response },
    statePlugins: {
      spec: {
        wrapActions: {
          updateJsonSpec: (update) => (document) => update(withPlaceholders(document)),
          setResponse: (set, system) => (path, method, answer) => {
            const id = answer?.body?.[ID];
            if (typeof id === "string") fillIn(id, system);
            return set(path, method, answer);
          },
        },
      },
    },
  };
}

window.ui = SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  // Swagger's online validator would receive this server's address.
  validatorUrl: null,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  plugins: [SwaggerUIBundle.plugins.DownloadUrl, Longhaul],
});
