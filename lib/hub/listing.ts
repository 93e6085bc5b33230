// Owns what a repository holds, by the hub's account: its commit, and its files with sizes and checksums. Nothing of it is believed before its form is
// checked. Any thread.

import { failed } from "./failures.js";
import { isCommit, isDigest, isSafePath } from "./names.js";
import type { Patience } from "./patience.js";
import { type Answer, type Ask, get, readJson } from "./request.js";
import type { HubSettings } from "./settings.js";

/** A file of a repository. */
export interface HubFile {
  /** Safe to be put below a folder. */
  path: string;
  bytes: number;
  /** SHA-256 of a large file, the SHA-1 of git's blob of a small one. It names the file in the cache. */
  digest: string;
}

export interface Listing {
  commit: string;
  files: HubFile[];
}

const MOST_BYTES = 8 * 2 ** 20;
const MOST_PAGES = 50;
const MOST_FILES = 100_000;

/** Throws as get(). */
export async function listRepo(
  settings: HubSettings,
  repo: string,
  revision: string,
  patience: Patience,
  signal: AbortSignal,
): Promise<Listing> {
  const ask: Ask = { repo, what: "The list of files", headers: { accept: "application/json" }, signal };
  const fetched = (url: URL) =>
    patience.over(async () => {
      const answer = await get(url, settings, ask);
      return { answer, json: await readJson(answer, ask, MOST_BYTES, settings.silenceMs) };
    });
  const of = (path: string) => new URL(`api/models/${repo}/${path}`, settings.endpoint);
  let commit = revision;
  if (!isCommit(commit)) {
    const { json } = await fetched(of(`revision/${encodeURIComponent(revision)}`));
    const { sha } = (json ?? {}) as { sha?: unknown };
    if (!isCommit(sha)) throw failed(`The hub names no commit of hf:${repo}: is HF_ENDPOINT an address of a hub?`);
    commit = sha;
  }
  const files: HubFile[] = [];
  let page: URL | undefined = of(`tree/${commit}?recursive=true`);
  for (let pages = 0; page !== undefined; pages++) {
    if (pages === MOST_PAGES) throw failed(`The list of files of hf:${repo} has more than ${MOST_PAGES} pages.`);
    const { answer, json }: { answer: Answer; json: unknown } = await fetched(page);
    if (!Array.isArray(json)) throw failed(`The list of files of hf:${repo} is no list: is HF_ENDPOINT an address of a hub?`);
    for (const entry of json) {
      const file = readFile(entry);
      if (file !== undefined) files.push(file);
    }
    if (files.length > MOST_FILES) throw failed(`The list of files of hf:${repo} has more than ${MOST_FILES} of them.`);
    page = nextPage(answer, page);
  }
  return { commit, files };
}

/** undefined for folders, and for whatever could not be put into the cache, or not be checked, as it is told. */
function readFile(entry: unknown): HubFile | undefined {
  const { type, path, size, oid, lfs } = (entry ?? {}) as Record<string, unknown>;
  if (type !== "file" || typeof path !== "string" || !isSafePath(path)) return undefined;
  const large = (lfs ?? {}) as Record<string, unknown>;
  const bytes = large.size ?? size;
  const digest = large.oid ?? oid;
  if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0 || !isDigest(digest)) return undefined;
  return { path, bytes, digest };
}

function nextPage({ headers }: Answer, from: URL): URL | undefined {
  const [, target] = /<([^>]*)>\s*;\s*rel="?next"?/.exec(String(headers.link ?? "")) ?? [];
  if (target === undefined) return undefined;
  try {
    const url = new URL(target, from);
    return /^https?:$/.test(url.protocol) ? url : undefined;
  } catch {
    return undefined;
  }
}
