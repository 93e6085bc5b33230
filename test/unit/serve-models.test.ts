// Which models `zse serve` is told to serve: files, folders, names.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError } from "../../lib/cli/report.js";
import { readModels } from "../../lib/cli/serve-models.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-serve-"));
const at = (...names: string[]) => join(folder, ...names);

beforeAll(() => {
  for (const name of ["models", "models/deep", "empty", "other"]) mkdirSync(at(name));
  const files = [
    "a.gguf",
    "b.zse",
    "x=y.gguf",
    "models/one.gguf",
    "models/two.ZSE",
    "models/notes.txt",
    "models/deep/three.gguf",
    "other/one.gguf",
  ];
  files.push("models/big-00001-of-00002.gguf", "models/big-00002-of-00002.gguf", "models/mmproj-one.gguf");
  for (const file of files) writeFileSync(at(file), "");
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("one model", () => {
  test("is opened at once, by the name in its file where none is given", () => {
    expect(readModels([])).toEqual({ path: undefined, name: undefined });
    expect(readModels([at("a.gguf")])).toEqual({ path: at("a.gguf"), name: undefined });
    expect(readModels([`fast=${at("a.gguf")}`])).toEqual({ path: at("a.gguf"), name: "fast" });
  });
  test("may have the sign of a name in its own, and may not be there: opening it says so", () => {
    expect(readModels([at("x=y.gguf")])).toEqual({ path: at("x=y.gguf"), name: undefined });
    expect(readModels(["nowhere.gguf"])).toEqual({ path: "nowhere.gguf", name: undefined });
  });
});

describe("several models", () => {
  test("have the names of their files, or those that they are given; a file that is named again has an alias", () => {
    const given = [at("a.gguf"), `tiny=${at("b.zse")}`, `fast=${at("a.gguf")}`, `fast=${at("a.gguf")}`, at("b.zse")];
    expect(readModels(given)).toEqual({
      several: { a: { path: at("a.gguf"), aliases: ["fast"] }, tiny: { path: at("b.zse"), aliases: [] } },
    });
  });
  test("of a folder are its files, in the order of their names; parts of a model are one, and what belongs to one is none", () => {
    expect(readModels([at("models")])).toEqual({
      several: {
        big: { path: at("models", "big-00001-of-00002.gguf"), aliases: [] },
        one: { path: at("models", "one.gguf"), aliases: [] },
        two: { path: at("models", "two.ZSE"), aliases: [] },
      },
    });
  });
  test("of one name are refused, with both files and a way out", () => {
    const both = () => readModels([at("models"), at("other")]);
    expect(both).toThrow(UsageError);
    expect(both).toThrow(/the name "one": .*models.one\.gguf.* and .*other.one\.gguf.*as in: other=FILE/);
    expect(() => readModels([at("a.gguf"), `a=${at("b.zse")}`])).toThrow(UsageError);
    expect(readModels([at("models"), `another=${at("other", "one.gguf")}`])).toMatchObject({ several: { another: { aliases: [] } } });
  });
  test("that are not there, and folders without any, are told before anything is opened", () => {
    expect(() => readModels([at("a.gguf"), at("nowhere.gguf")])).toThrow(expect.objectContaining({ code: "MODEL_NOT_FOUND" }));
    expect(() => readModels([at("empty")])).toThrow(/no \.gguf or \.zse file in the folder/);
  });
});
