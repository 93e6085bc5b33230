// Chat templates that loop, recurse, explode or refuse, as they come with a model file. Each goes off for a conversation that begins with
// "go", or at load where its name says so.
import { abortAfter, answers, modelWith, open, outcome, say, user } from "./attack.mjs";

const plain = "{% for m in messages %}{{ m.content }}{% endfor %}";
const onGo = (source) => `{% if messages[0].content == "go" %}${source}{% endif %}${plain}`;
const grown = (first, next, times = 64) =>
  `{% set ns = namespace(x=${first}) %}{% for i in range(${times}) %}{% set ns.x = ${next} %}{% endfor %}`;
const nested = (depth) => grown("[1]", "[ns.x]", depth);
const shared = grown("[1]", "[ns.x, ns.x]");
const sharedTuple = grown("(1, 2)", "(ns.x, ns.x)");

/** Two strings, m of a million times one letter, and a of two million. */
const halves = "{% set m = (((('a' * 1000) | replace('b','c')) * 1000) | replace('b','c')) %}{% set a = (m ~ m) | replace('b','c') %}";

/** name → template. `ends`: what a chat of "go" ends with; "abort" for what would run to the bound of its time. */
const templates = {
  "loops for ever": {
    source: onGo("{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}"),
    ends: "abort",
  },
  "compares without end": { source: onGo(`${sharedTuple}{{ ns.x == ns.x }}`), ends: "abort" },
  "hashes without end": { source: onGo(`${sharedTuple}{% set d = {ns.x: 1} %}`), ends: "abort" },
  "prints JSON without end": { source: onGo(`${shared}{{ ns.x | tojson }}`), ends: "abort" },
  "a macro that calls itself": { source: onGo("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}") },
  "macros that call each other": {
    source: onGo(
      "{% macro f(n) %}{% call(x) g(n) %}{{ f(n) }}{% endcall %}{% endmacro %}{% macro g(n) %}{{ caller(n) }}{% endmacro %}{{ f(1) }}",
    ),
  },
  "a range of a billion": { source: onGo("{% set x = range(1000000000) %}") },
  "a string a billion times": { source: onGo(`{{ "${"a".repeat(64)}" * 1000000000 }}`) },
  "a string that doubles": { source: onGo(`${grown("'ab'", "ns.x + ns.x")}{{ ns.x }}`) },
  "a list that doubles": { source: onGo(grown("[1]", "ns.x + ns.x")) },
  "a list nested a million deep": { source: onGo(nested(1000000)) },
  "a nested list printed": { source: onGo(`${nested(20000)}{{ ns.x | string }}`) },
  "a nested list as JSON": { source: onGo(`${nested(20000)}{{ ns.x | tojson }}`) },
  "an object in itself as JSON": { source: onGo("{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns | tojson }}") },
  "an object in itself": { source: onGo("{% set ns = namespace(x=1) %}{% set ns.x = ns %}"), ends: "ok" },
  "an indent of gigabytes": { source: onGo("{{ 'a' | indent(2000000000) }}") },
  "JSON with an indent of gigabytes": { source: onGo("{{ [1, [2, [3]]] | tojson(indent=2000000000) }}") },
  "replacing that explodes": { source: onGo("{{ ('a' * 100000) | replace('a', 'b' * 100000) }}") },
  "replacing nothing that explodes": { source: onGo("{{ ('a' * 100000) | replace('', 'b' * 100000) }}") },
  "a search for what nearly matches everywhere": { source: onGo(`${halves}{{ (m ~ 'b') in a }}`), ends: "ok" },
  "splitting at what nearly matches everywhere": { source: onGo(`${halves}{{ a.split(m ~ 'b') | length }}`), ends: "ok" },
  "splitting from behind at what nearly matches everywhere": { source: onGo(`${halves}{{ a.rsplit('b' ~ m) | length }}`), ends: "ok" },
  "replacing what nearly matches everywhere": { source: onGo(`${halves}{{ a.replace(m ~ 'b', 'x') | length }}`), ends: "ok" },
  "stripping a million characters": { source: onGo(`${halves}{{ a.strip(m) | length }}`), ends: "ok" },
  "a string of millions of parts": { source: onGo(`${grown("'ab'", "ns.x ~ ns.x")}{{ ns.x | length }}`) },
  "a division by zero": { source: onGo("{{ 5 is divisibleby(0) }}") },
  "a remainder of nothing": { source: onGo("{{ 5 % 0 }}"), ends: "any" },
  "sorting what has no order": {
    source: onGo(
      "{% set ns = namespace(x=[]) %}{% for i in range(1500) %}{% set ns.x = ns.x + [i % 7, (i * 37 % 101) ~ '', i % 3 == 0] %}{% endfor %}{{ ns.x | sort | length }}",
    ),
    ends: "any",
  },
  "a step as large as numbers go": { source: onGo("{{ range(0, 9223372036854775807, 4611686018427387904) | length }}") },
  "thousands of brackets": { source: `{{ ${"(".repeat(5000)}1${")".repeat(5000)} }}${plain}`, ends: "UNSUPPORTED" },
  "hundreds of brackets": { source: `{{ ${"(".repeat(900)}1${")".repeat(900)} }}${plain}`, ends: "UNSUPPORTED" },
  "a hundred thousand times not": { source: `{{ ${"not ".repeat(100000)}1 }}${plain}`, ends: "UNSUPPORTED" },
  "a sum of a hundred thousand": { source: `{{ 1${" + 1".repeat(100000)} }}${plain}`, ends: "UNSUPPORTED" },
  "ten thousand blocks": { source: `${"{% if 1 %}".repeat(10000)}${"{% endif %}".repeat(10000)}${plain}`, ends: "UNSUPPORTED" },
  "ten thousand times elif": { source: `{% if 0 %}${"{% elif 0 %}".repeat(10000)}{% endif %}${plain}`, ends: "UNSUPPORTED" },
  "loops at load": {
    source: "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
    ends: "UNSUPPORTED",
  },
  "recurses at load": { source: "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ends: "UNSUPPORTED" },
  "refuses everything": { source: "{{ raise_exception('never') }}" },
  "long lines that nest nothing": { source: `{# ${"-".repeat(500)} #}${"-".repeat(500)}${"(".repeat(200)}${plain}`, ends: "any" },
};

for (const [name, { source, ends = "BAD_OPTION" }] of Object.entries(templates)) {
  say({ name, begins: true });
  const model = open(modelWith({ "tokenizer.chat_template": source }));
  const load = await outcome(model.ready);
  const conversation = [...user("go"), { role: "assistant", content: "a".repeat(100) }, ...user("x")];
  const chat =
    ends === "abort"
      ? await abortAfter(300, (signal) => model.chat(conversation, { maxTokens: 1, signal }))
      : await outcome(model.chat(conversation, { maxTokens: 1 }));
  const completion = await answers(model);
  await model.close();
  say({ name, ends, load: load.outcome, loadMessage: load.message, chat, completion });
}
say({ done: true, residentMegabytes: process.memoryUsage.rss() / 1e6 });
