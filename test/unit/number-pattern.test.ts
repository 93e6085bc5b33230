// Numbers between bounds, as patterns: what matches lies between them, and what lies between them and is written as people write matches.

import { describe, expect, test } from "vitest";
import { type NumberBounds, numberPattern } from "../../lib/schema/number-pattern.js";
import { randomOf } from "../random-schemas.js";

const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const FREE: NumberBounds = { least: -Infinity, most: Infinity, above: -Infinity, below: Infinity };
const lies = (value: number, { least, most, above, below }: NumberBounds) =>
  value >= least && value <= most && value > above && value < below;

describe("patterns of numbers", () => {
  test.each<[Partial<NumberBounds>, string[], string[]]>([
    [{ least: 0 }, ["0", "0.5", "12.25", "999999999999"], ["-0", "-1", "-0.5", "00", "01", "1e3", "1."]],
    [{ above: 0 }, ["0.000001", "0.10", "7"], ["0", "0.0", "-1"]],
    [{ least: 0, most: 1 }, ["0", "0.5", "1", "1.0", "0.99999999999999"], ["1.1", "1.00000000000001", "2", "10"]],
    [{ least: -273.15, most: 99.5 }, ["-273.15", "-273.1500", "-0.5", "0", "99.5", "99.49"], ["-273.16", "-274", "99.51", "100"]],
    [{ above: -1, below: 1 }, ["-0.99", "0", "0.99"], ["-1", "-1.0", "1", "1.0"]],
    [{ most: -5 }, ["-5", "-5.5", "-123456"], ["-4.99", "0", "5"]],
    [{ least: 1e12, most: 2e12 }, ["1000000000000", "1500000000000.25"], ["999999999999", "2000000000001"]],
  ])("%o", (bounds, inside, outside) => {
    const pattern = new RegExp(numberPattern({ ...FREE, ...bounds })!);
    for (const text of inside) expect(pattern.test(text), text).toBe(true);
    for (const text of outside) expect(pattern.test(text), text).toBe(false);
  });
  test("bounds as people write them are short patterns", () => {
    expect(numberPattern({ ...FREE, least: 0 })).toBe("^(([0]|[1-9][0-9]{0,8})([\\x2E][0-9]{1,6})?|[1-9][0-9]{9,14})$");
    expect(numberPattern({ ...FREE, least: 0, most: 1 })!.length).toBeLessThan(150);
  });
  test("nothing lies between bounds that exclude each other", () => {
    expect(numberPattern({ ...FREE, least: 2, most: 1 })).toBeUndefined();
    expect(numberPattern({ ...FREE, above: 1, most: 1 })).toBeUndefined();
  });
  test("random bounds and numbers", () => {
    const random = randomOf(seed);
    const some = () => Number(((random.below(2_000_001) - 1_000_000) / 10 ** random.below(7)).toFixed(random.below(6)));
    for (let i = 0; i < 300; i++) {
      const [a, b] = [some(), some()].sort((x, y) => x - y) as [number, number];
      const bounds = {
        ...FREE,
        ...(random.chance(0.8) ? { [random.of(["least", "above"])]: a } : {}),
        ...(random.chance(0.8) ? { [random.of(["most", "below"])]: b } : {}),
      };
      const text = numberPattern(bounds);
      const pattern = text === undefined ? /^(?!)/ : new RegExp(text);
      for (const value of [a, b, 0, some(), a + (b - a) / 2, a - 1e-6, b + 1e-6, Math.round(a), Math.ceil(b)]) {
        const written = value.toFixed(random.below(7)).replace(/^-(0(\.0*)?)$/, "$1");
        expect(pattern.test(written), `seed ${seed}: ${written} by ${JSON.stringify(bounds)}`).toBe(lies(Number(written), bounds));
      }
    }
  });
});
