import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { ENGINE_RULES, REPLY_RULES } from "../../lib/options/options.js";

const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "api.md"), "utf8");

describe("docs/api.md tells every option with its range and default, as the code has them", () => {
  test.each(Object.entries({ ...ENGINE_RULES, ...REPLY_RULES }))("%s", (name, rule) => {
    const row = page.split("\n").find((line) => line.startsWith(`| \`${name}\` |`));
    if (rule.kind === "later") return expect(row).toBeUndefined();
    expect(row, "a row of the table").toBeDefined();
    const [, , values, standard] = row!.split("|").map((cell) => cell.trim());
    if (rule.kind === "number" || rule.kind === "integer") {
      expect(values).toBe(`${rule.min} to ${rule.max}`);
      expect(standard).toBe("default" in rule ? String(rule.default) : "drawn");
    } else if (rule.kind === "enum") {
      expect(values).toBe(rule.values.map((one) => `\`"${one}"\``).join(", "));
      expect(standard).toBe(`\`"${rule.default}"\``);
    } else if (rule.kind === "boolean") {
      expect(values).toBe("boolean");
      expect(standard).toBe("default" in rule ? `\`${rule.default}\`` : "");
    }
  });
});
