// Owns row l: replies that are held to a schema, beside plain ones from the same engine: eight alone, and four beside 64 that are not.
import { mean } from "simple-statistics";

const properties = 50;
const newTokens = 200;
const beside = { plain: 64, held: 4 };

/** An order of some shop's API. */
const schema = {
  type: "object",
  properties: Object.fromEntries(
    Array.from({ length: properties }, (_, i) => [
      `field_${i}`,
      [
        { type: "string" },
        { type: "integer" },
        { type: "boolean" },
        { enum: ["new", "paid", "sent"] },
        { type: "array", items: { type: "string" } },
      ][i % 5],
    ]),
  ),
  required: Array.from({ length: properties }, (_, i) => `field_${i}`),
  additionalProperties: false,
};

export const row = {
  name: "l",
  title: `replies held to a schema of ${properties} properties, beside plain ones`,
  models: ["demo"],
  contenders: ["zstream"],
  engine: () => ({ contextSize: 512, maxStreams: beside.plain + beside.held }),

  async measure({ model }) {
    const plain = (n) => together(model, n, { ignoreEos: true });
    const held = (n) => together(model, n, { responseFormat: { type: "json_schema", schema } });
    await plain(8);
    const [before, eight, after] = [await plain(8), await held(8), await plain(8)];
    const alone = await Promise.all([plain(beside.plain), plain(beside.held)]);
    const mixed = await Promise.all([plain(beside.plain), held(beside.held)]);
    return {
      share: (2 * eight.pace) / (before.pace + after.pace),
      first: (2 * eight.ttft) / (before.ttft + after.ttft),
      others: mixed[0].pace / alone[0].pace,
    };
  },

  figures: [
    { label: "eight held streams' pace, of plain ones'", unit: "", measure: "share", goals: [{ atLeast: 0.9 }] },
    { label: "their first tokens, of plain ones' wait", unit: "", measure: "first", note: "the grammar is made then" },
    {
      label: `pace of ${beside.plain} plain streams beside ${beside.held} held ones`,
      unit: "",
      measure: "others",
      goals: [{ atLeast: 0.95 }],
      note: "of their pace beside as many plain ones",
    },
  ],
};

/** Tokens a second after the first ones of so many streams at once, all together; and how long the first ones took, ms. */
async function together(model, streams, options) {
  const replies = await Promise.all(
    Array.from({ length: streams }, (_, i) =>
      model.chat({
        messages: [{ role: "user", content: `Give me JSON for order ${i}.` }],
        temperature: 0.8,
        seed: i,
        maxTokens: newTokens,
        ...options,
      }),
    ),
  );
  const pace = replies.reduce((sum, { timings }) => sum + timings.tokensPerSecond, 0);
  return { pace, ttft: mean(replies.map(({ timings }) => timings.ttftMs)) };
}
