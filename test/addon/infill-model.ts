// The demo model with a vocabulary that has tokens for what stands between two texts: three ordinary ones, called so by the file.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
// @ts-expect-error: plain JavaScript, shared with children
import { rewriteGguf } from "../hostile/gguf.mjs";
import { DEMO } from "./helpers.js";

export const INFILL = { pre: 300, suf: 301, mid: 302 };

const folder = mkdtempSync(join(tmpdir(), "zse-infill-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Its path; there until the file's tests have ended. */
export function infillModel(): string {
  return rewriteGguf(DEMO, join(folder, "infill.gguf"), {
    "tokenizer.ggml.fim_pre_token_id": INFILL.pre,
    "tokenizer.ggml.fim_suf_token_id": INFILL.suf,
    "tokenizer.ggml.fim_mid_token_id": INFILL.mid,
  }) as string;
}
