"use strict";
// The OpenAPI description, readable.
fetch("openapi.json").then((response) => response.json()).then((described) => {
  const main = document.getElementById("paths");
  for (const [path, methods] of Object.entries(described.paths)) {
    for (const [method, of] of Object.entries(methods)) {
      if (!["get", "post"].includes(method)) continue;
      const section = document.createElement("section");
      const title = section.appendChild(document.createElement("h2"));
      title.textContent = `${method.toUpperCase()} ${path}`;
      section.appendChild(document.createElement("p")).textContent = `${of.summary} ${of.description || ""}`;
      if (of.requestBody) section.appendChild(document.createElement("p")).textContent = `Body: ${Object.keys(of.requestBody.content).join(", ")}`;
      const table = section.appendChild(document.createElement("table"));
      for (const parameter of of.parameters || []) {
        const row = table.insertRow();
        row.insertCell().textContent = parameter.name;
        row.insertCell().textContent = parameter.description || "";
        row.insertCell().textContent = parameter.schema.default === undefined ? "" : `default ${parameter.schema.default}`;
      }
      main.append(section);
    }
  }
});
