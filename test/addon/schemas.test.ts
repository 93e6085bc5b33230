// Schemas with the engine's own grammars: whatever the temperature, what ends is valid. What passes the check of schemas without the engine
// is test/unit/schema.test.ts's.

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { expect, test } from "vitest";
import { enforceable } from "../../lib/schema/enforce.js";
import { type Random, randomOf, randomRoot, type Schema } from "../random-schemas.js";
import { openModel } from "./helpers.js";

const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const SCHEMAS = 40;

/** One that can be enforced, and that ajv does not follow without an end. */
function nextSchema(random: Random, ajv: Ajv2020): { schema: Schema | boolean; validate: ValidateFunction } {
  while (true) {
    const schema = randomRoot(random);
    try {
      enforceable(schema, { where: "schema", exact: true });
      return { schema, validate: ajv.compile(schema) };
    } catch {}
  }
}

test("random schemas at temperature 1.5: every reply that ends is valid by ajv", async () => {
  const random = randomOf(seed);
  const ajv = new Ajv2020({ strict: false, addUsedSchema: false });
  formats.default(ajv);
  const model = openModel({ contextSize: 1024, maxStreams: 8, maxQueue: SCHEMAS });
  let ended = 0;
  const ask = async (number: number) => {
    const { schema, validate } = nextSchema(random, ajv);
    const { text, finishReason, object, warning } = await model.chat({
      messages: [{ role: "user", content: "Give an example" }],
      responseFormat: { type: "json_schema", schema },
      ...{ reasoning: "off", temperature: 1.5, seed: number, maxTokens: 200 },
    });
    if (finishReason === "length") return;
    ended += 1;
    const told = `seed ${seed}: ${JSON.stringify(schema)} → ${text}: ${warning ?? ajv.errorsText(validate.errors)}`;
    expect(validate(object), told).toBe(true);
  };
  await Promise.all(Array.from({ length: SCHEMAS }, (_, i) => ask(i)));
  expect(ended, `seed ${seed}`).toBeGreaterThan(SCHEMAS / 4);
}, 300_000);
