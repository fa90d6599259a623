/* Elements: made, drawn, and changed only where they differ. */

const SVG = "http://www.w3.org/2000/svg";

/* Keys pressed in the film are the film's and not JupyterLab's. */
export const KEYS = { "data-lm-suppress-shortcuts": "true" };

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function drawing(attributes, tag = "svg") {
  const node = document.createElementNS(SVG, tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
}

export function draw(parent, tag, attributes, text) {
  const node = drawing(attributes, tag);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

export function setSize(svg, width, height) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
}

export function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}
