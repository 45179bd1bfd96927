// A form of all options, from the same definitions as the command line.
import { make } from "./state.js";

export function fields(groups, changes, then = () => {}) {
  return groups.map(({ group, about, options }) => make("fieldset", {},
    make("legend", { textContent: about.split(/[.\n]/)[0] }),
    ...options.map((option) => field(group, option, { changes, then }))));
}

function field(group, option, { changes, then }) {
  const input = control(option), id = `option-${group}-${option.name}`, help = `${id}-help`;
  Object.assign(input, { id, name: `${group}.${option.name}` });
  input.setAttribute("aria-describedby", help);
  input.onchange = () => { set(changes, group, { option, input }); then(); };
  const label = make("label", { htmlFor: id, textContent: option.name.replaceAll("_", " ") });
  return make("div", { className: "option" }, label, input, make("small", { id: help, textContent: option.help.replaceAll("`", "") }));
}

function control(option) {
  if (option.choices) {
    const select = make("select", {}, ...option.choices.map((name) => new Option(name, name, false, name === option.default)));
    if (option.default === null) select.prepend(new Option("default", "", true, true));
    return select;
  }
  if (typeof option.default === "boolean") return make("input", { type: "checkbox", checked: option.default });
  const value = Array.isArray(option.default) ? option.default.join(", ") : option.default ?? "";
  const input = make("input", { value, placeholder: option.default === null ? "default" : "" });
  if (typeof option.default === "number") input.inputMode = "decimal";
  return input;
}

function set(changes, group, { option, input }) {
  const parse = (word) => (word.trim() !== "" && !Number.isNaN(Number(word)) ? Number(word) : word.trim());
  let value = input.type === "checkbox" ? input.checked : input.value;
  if (Array.isArray(option.default)) value = value.split(",").map(parse).filter((word) => word !== "");
  else if (typeof value === "string" && (value === "" || !option.choices)) value = value === "" ? option.default : parse(value);
  const rows = (changes[group] ??= {});
  if (JSON.stringify(value) === JSON.stringify(option.default)) delete rows[option.name];
  else rows[option.name] = value;
}

// The groups with values other than the defaults.
export const changed = (changes) => Object.fromEntries(Object.entries(changes).filter(([, rows]) => Object.keys(rows).length));

// Set the form to `values`, and `changes` to those that differ from the defaults.
export function fill(form, groups, { values, changes }) {
  for (const { group, options } of groups) {
    delete changes[group];
    for (const option of options) {
      const input = form.querySelector(`#option-${group}-${option.name}`), value = values[group]?.[option.name] ?? option.default;
      if (input.type === "checkbox") input.checked = value;
      else input.value = Array.isArray(value) ? value.join(", ") : value ?? "";
      if (JSON.stringify(value) !== JSON.stringify(option.default)) (changes[group] ??= {})[option.name] = value;
    }
  }
}
