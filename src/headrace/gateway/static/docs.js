// The page of a gateway: what openapi.json says, to read and to try.

import { Headrace, HeadraceError } from "./headrace.js";

const description = await (await fetch("openapi.json")).json();
const base = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

/** Make an element with attributes, properties and children; texts are never read as HTML. */
function make(name, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

function resolve(thing) {
  if (!thing?.$ref) return thing;
  return thing.$ref.slice(2).split("/").reduce((place, step) => place[step], description);
}

/** Say in a few words what a schema allows. */
function kind(schema) {
  if (schema === undefined) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.anyOf) return schema.anyOf.map(kind).join(" | ");
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  return [schema.type ?? "anything"].flat().join(" | ");
}

function table(rows) {
  const cells = (row) => row.map((text) => make("td", { text }));
  return make("table", {}, ...rows.map((row) => make("tr", {}, ...cells(row))));
}

function parameters(operation) {
  const rows = (operation.parameters ?? []).map(resolve).map((parameter) => {
    const schema = resolve(parameter.schema);
    return [parameter.name, kind(parameter.schema), parameter.description ?? schema.description ?? ""];
  });
  return rows.length ? [make("h3", { text: "Parameters" }), table(rows)] : [];
}

function body(operation) {
  const schema = resolve(operation.requestBody?.content?.["application/json"]?.schema);
  if (!schema?.properties) return [];
  const rows = Object.entries(schema.properties).map(([name, value]) => {
    const needed = schema.required?.includes(name) ? "required" : `default ${value.default ?? "none"}`;
    return [name, kind(value), needed];
  });
  return [make("h3", { text: "Body" }), table(rows)];
}

/** Let a task be tried: a text of JSON, a button, and what becomes of the job. */
function trial(path) {
  const task = path.split("/").pop();
  const text = make("textarea", { rows: 3, "aria-label": `arguments of ${task}` });
  text.value = "{}";
  const shown = make("pre", { "aria-live": "polite" });
  const button = make("button", { text: "Submit" });
  button.addEventListener("click", async () => {
    shown.textContent = "";
    try {
      const headrace = new Headrace(location.origin + base);
      const job = await headrace.submit(task, JSON.parse(text.value));
      for await (const event of headrace.events(job.id)) {
        shown.textContent += `${event.type} ${JSON.stringify(event.data)}\n`;
      }
    } catch (error) {
      shown.textContent += `${error.message}\n`;
      if (!(error instanceof HeadraceError || error instanceof SyntaxError)) throw error;
    }
  });
  return [make("h3", { text: "Try it" }), text, button, shown];
}

function answers(operation) {
  const rows = Object.entries(operation.responses).map(([status, answer]) => [
    status,
    resolve(answer).description,
  ]);
  return [make("h3", { text: "Answers" }), table(rows)];
}

function section(path, method, operation) {
  const title = make(
    "summary",
    {},
    make("span", { class: "method", text: method.toUpperCase() }),
    make("span", { class: "path", text: base + path }),
    make("span", { class: "said", text: operation.summary ?? "" }),
  );
  const inside = make("div", {});
  const details = make("details", { id: operation.operationId }, title, inside);
  details.addEventListener("toggle", () => {
    if (inside.childElementCount > 0) return;
    if (operation.description) inside.append(make("p", { text: operation.description }));
    inside.append(...parameters(operation), ...body(operation), ...answers(operation));
    if (operation.tags.includes("tasks")) inside.append(...trial(path));
  });
  return details;
}

function show() {
  document.getElementById("summary").textContent = description.info.description;
  const main = document.getElementById("operations");
  for (const { name, description: said } of description.tags) {
    const found = Object.entries(description.paths).flatMap(([path, item]) =>
      Object.entries(item)
        .filter(([, operation]) => operation.tags?.includes(name))
        .map(([method, operation]) => section(path, method, operation)),
    );
    if (found.length === 0) continue;
    main.append(make("h2", { text: name }));
    if (said) main.append(make("p", { class: "said", text: said }));
    main.append(...found);
  }
  document.documentElement.dataset.ready = "true";
}

show();
