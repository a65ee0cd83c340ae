// What this page adds to Swagger UI, with its plug-in API: https://swagger.io/docs/open-source-tools/swagger-ui/customization/plugin-api/
"use strict";

const ID = "executionId";

/** Every operation of the document, with its path and method. */
function operationsOf(document) {
  return Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

/**
 * Makes the examples of parameters placeholders. Swagger UI would fill them in, and a filter, a wait or an id that nobody typed
 * changes what "Try it out" does.
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

/** After an answer with an execution, its id stands in every operation that takes one. */
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

  /** An input whose placeholder is the parameter's example. Swagger UI shows what it takes for the description. */
  const text = (Original) => (props) =>
    element(Original, { ...props, description: props.schema?.get("x-placeholder") ?? props.description });

  /** An error is one row, "code and what it means", until its example is asked for. */
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

  /** The headers of an answer, closed at first. */
  const headers = (Original) => (props) =>
    element("details", null, element("summary", null, "Headers"), element(Original, props));

  /** A link that leads somewhere. */
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
  // The validator would be somebody else's server, and would be told where this one is.
  validatorUrl: null,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  plugins: [SwaggerUIBundle.plugins.DownloadUrl, Longhaul],
});
