// Schemas with the engine's own grammars: whatever the temperature, what ends is valid. What passes the check of schemas without the engine
// is test/unit/schema.test.ts's.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { afterAll, expect, test } from "vitest";
import { enforceable } from "../../lib/schema/enforce.js";
import { makeRandomModel } from "../random-model.js";
import { type Random, randomOf, randomRoot, type Schema } from "../random-schemas.js";
import { DEMO, openModel } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-schemas-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

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

test.each([
  [40, "the demo model", DEMO],
  [500, "a model of random weights", join(folder, "random.gguf")],
])(
  "%i random schemas at temperature 1.5, %s: every reply that ends is valid by ajv",
  async (schemas, _, file) => {
    const random = randomOf(seed);
    const ajv = new Ajv2020({ strict: false, addUsedSchema: false });
    formats.default(ajv);
    if (file !== DEMO) await makeRandomModel(DEMO, file, seed);
    const model = openModel({ contextSize: 1024, maxStreams: 8, maxQueue: schemas }, file);
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
    await Promise.all(Array.from({ length: schemas }, (_, i) => ask(i)));
    expect(ended, `seed ${seed}`).toBeGreaterThan(schemas / 4);
  },
  300_000,
);
