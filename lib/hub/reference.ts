// Owns how a model of the hub is named: hf:org/repo, with a revision, a quantization or a file. Pure.

import { quote } from "../base/quote.js";
import { ZSEError } from "../errors.js";
import { isRepo, isRevision, isSafePath, MAIN } from "./names.js";

/** A model of the hub, as it was asked for. */
export interface HubReference {
  /** "org/repo" */
  repo: string;
  /** A branch, a tag or a commit. */
  revision: string;
  /** Such as "Q4_K_M", as it was written. */
  quant?: string;
  /** The path of one file, of a split model any part. */
  file?: string;
}

const SCHEME = /^hf:/i;
const GRAMMAR = /^hf:([^/@:]+\/[^/@:]+)(?:@(refs\/pr\/\d+|[^:/]+))?(?::([^:/@]+)|\/(.+))?$/i;
const FORMS = '"hf:org/repo", "hf:org/repo:Q4_K_M" or "hf:org/repo/file.gguf", with "@revision" after the repository where it is not main';

/** Whether a model's path is one: a file of that name is "./hf:…". */
export function isReference(path: string): boolean {
  return SCHEME.test(path);
}

/** @throws ZSEError BAD_OPTION naming `path` */
export function readReference(text: unknown): HubReference {
  const wrong = (what: string) =>
    new ZSEError("BAD_OPTION", `A model of Hugging Face is ${FORMS}; given ${quote(text)}${what}.`, { option: "path" });
  const [, repo, written, quant, file] = GRAMMAR.exec(typeof text === "string" ? text : "") ?? [];
  if (repo === undefined) throw wrong("");
  if (!isRepo(repo)) throw wrong(`, whose ${quote(repo)} is no name of a repository`);
  const revision = written === undefined ? MAIN : decoded(written);
  if (!isRevision(revision)) throw wrong(`, whose ${quote(written)} is no name of a revision`);
  if (quant !== undefined && !/^\w[\w.-]{0,63}$/.test(quant)) throw wrong(`, whose ${quote(quant)} is no name of a quantization`);
  if (file === undefined) return { repo, revision, ...(quant === undefined ? {} : { quant }) };
  if (!isSafePath(file) || !/\.(?:gguf|zse)$/i.test(file)) throw wrong(`, whose ${quote(file)} is no path of a .gguf or .zse file`);
  return { repo, revision, file };
}

/** The reference as it is typed. */
export function writeReference({ repo, revision, quant, file }: HubReference): string {
  const at = revision === MAIN ? "" : `@${/^refs\/pr\/\d+$/.test(revision) ? revision : encodeURIComponent(revision)}`;
  return `hf:${repo}${at}${file !== undefined ? `/${file}` : quant !== undefined ? `:${quant}` : ""}`;
}

/** A branch's name may have slashes: they are written as %2F. */
function decoded(revision: string): string {
  try {
    return decodeURIComponent(revision);
  } catch {
    return ""; // no name of anything
  }
}
