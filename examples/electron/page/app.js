// The page: one conversation with a model of the engine's process. It is sandboxed, and has nothing but its port to that process.

import { modelNames, openModel, ZSEError } from "/zstream.js";

const byId = (id) => document.getElementById(id);
const [conversation, welcome, picker, engine, draft] = ["conversation", "welcome", "models", "engine", "draft"].map(byId);

let model;
let messages = [];
/** The reply that is on its way. */
let stream;

function open(name) {
  stream?.abort();
  void model?.close();
  model = openModel(name, {
    recover: byId("recover").checked,
    onProgress: (part) => part < 1 && show("connecting", `loading ${Math.round(100 * part)} %`),
    onConnection: ({ state, crashes, error }) => {
      const restarts = crashes === 0 ? "" : crashes === 1 ? ", restarted once" : `, restarted ${crashes} times`;
      if (state === "open") show("open", `ready${restarts}`);
      else if (state === "connecting") show("connecting", crashes === 0 ? "loading" : "the engine crashed; starting it again");
      else show("failed", error.message);
    },
  });
  model.ready.catch((error) => note(error));
}

function show(state, text) {
  engine.dataset.state = state;
  engine.textContent = text;
}

async function ask(content) {
  if (stream !== undefined || content.trim() === "") return;
  welcome.hidden = true;
  messages.push({ role: "user", content });
  article("user", content);
  await answer();
}

async function answer() {
  const shown = article("assistant", "");
  shown.classList.add("growing");
  const text = document.createTextNode("");
  shown.append(text);
  figures();
  running(true);
  const began = performance.now();
  let first;
  try {
    stream = model.chatStream(messages);
    for await (const event of stream.events()) {
      if (event.type === "reasoning") thought(shown).append(event.text);
      if (event.type === "text") text.appendData(event.text);
      if (event.type === "text" || event.type === "reasoning") first ??= performance.now() - began;
      if (event.type === "finish") figures({ first, ...event });
      if (nearTheEnd()) conversation.scrollTop = conversation.scrollHeight;
    }
    messages.push({ role: "assistant", content: text.data });
  } catch (error) {
    if (error instanceof ZSEError && error.code === "ABORTED") {
      messages.push({ role: "assistant", content: text.data });
      note("Stopped.");
    } else note(error, true);
  } finally {
    if (text.data === "") shown.remove();
    shown.classList.remove("growing");
    stream = undefined;
    running(false);
  }
}

/** What went wrong; a reply that failed can be asked for again. */
function note(what, again = false) {
  const line = document.createElement("p");
  line.className = "note";
  line.textContent = what instanceof Error ? what.message : what;
  if (what instanceof ZSEError) line.dataset.code = what.code;
  if (again) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Try again";
    button.addEventListener("click", () => {
      line.previousElementSibling?.classList.contains("assistant") && line.previousElementSibling.remove();
      line.remove();
      void answer();
    });
    line.append(" ", button);
  }
  conversation.append(line);
  conversation.scrollTop = conversation.scrollHeight;
}

function article(role, text) {
  const shown = document.createElement("article");
  shown.className = role;
  shown.textContent = text;
  conversation.append(shown);
  conversation.scrollTop = conversation.scrollHeight;
  return shown;
}

function thought(shown) {
  const known = shown.querySelector("details p");
  if (known) return known;
  const details = document.createElement("details");
  details.append(Object.assign(document.createElement("summary"), { textContent: "Thought" }), document.createElement("p"));
  shown.prepend(details);
  return details.lastElementChild;
}

function figures({ first, usage, timings, reason } = {}) {
  const cached = usage?.cachedTokens > 0 ? `, ${usage.cachedTokens} cached` : "";
  byId("first").textContent = first === undefined ? "–" : `${first.toFixed(0)} ms`;
  byId("speed").textContent = timings === undefined ? "–" : `${timings.tokensPerSecond.toFixed(0)} tokens/s`;
  byId("reply").textContent = usage === undefined ? "–" : `${usage.completionTokens} tokens`;
  byId("prompt").textContent = usage === undefined ? "–" : `${usage.promptTokens} tokens${cached}`;
  byId("reason").textContent = reason ?? "–";
}

function running(yes) {
  byId("send").hidden = yes;
  byId("stop").hidden = !yes;
  picker.disabled = yes;
  byId("recover").disabled = yes;
}

function nearTheEnd() {
  return conversation.scrollHeight - conversation.scrollTop - conversation.clientHeight < 120;
}

function submit() {
  const text = draft.value;
  if (stream !== undefined || text.trim() === "") return;
  draft.value = "";
  void ask(text);
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
draft.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
byId("stop").addEventListener("click", () => stream?.abort());
byId("new").addEventListener("click", () => {
  stream?.abort();
  messages = [];
  for (const one of conversation.querySelectorAll("article, .note")) one.remove();
  welcome.hidden = false;
  figures();
});
for (const button of welcome.querySelectorAll("button")) button.addEventListener("click", () => void ask(button.textContent));
for (const one of [picker, byId("recover")]) one.addEventListener("change", () => open(picker.value));

try {
  for (const name of await modelNames()) picker.add(new Option(name, name));
  open(picker.value);
} catch (error) {
  show("failed", error.message);
}
