// Owns what models are in the cache folder, and taking one away with all that nothing else there needs. Any thread.

import { readdir, readlink, realpath, rm, rmdir, stat, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { RepoCache } from "./cache.js";
import { diskFailure, failed, notFound } from "./failures.js";
import { isHeld } from "./lock.js";
import { type Model, meant, modelsAmong, type Sized } from "./models.js";
import { isDigest, isRepo, MAIN } from "./names.js";
import { type HubReference, writeReference } from "./reference.js";

/** A model that is there whole. */
export interface CachedModel {
  /** As it is given to new ZSE(). */
  reference: string;
  repo: string;
  commit: string;
  /** Such as "Q4_K_M"; absent where the file's name has none. */
  quant?: string;
  /** What is opened; an absolute path. */
  path: string;
  bytes: number;
  /** When it was used or fetched last; milliseconds since 1970. */
  lastUsed: number;
}

/** All models of a cache folder, by name; a folder that is not there has none. Other tools' files that are no GGUF models are left out. */
export async function cachedModels(cacheFolder: string): Promise<CachedModel[]> {
  const found: CachedModel[] = [];
  for (const cache of await repositories(cacheFolder)) {
    const refs = await cache.refs();
    const revisions = [MAIN, ...[...refs.keys()].sort()];
    for (const commit of await cache.commits()) {
      const models = modelsAmong(await cache.files(commit));
      const revision = revisions.find((one) => refs.get(one) === commit) ?? commit;
      for (const model of models) found.push(await described(cache, commit, model, models, revision));
    }
  }
  return found.sort((a, b) => (a.reference < b.reference ? -1 : 1));
}

/** Bytes of downloads that were given up, by repository. */
export async function unfinishedDownloads(cacheFolder: string): Promise<{ repo: string; bytes: number }[]> {
  const found: { repo: string; bytes: number }[] = [];
  for (const cache of await repositories(cacheFolder)) {
    let bytes = 0;
    for (const digest of await partialsOf(cache)) {
      if (!(await isHeld(cache.lock(digest)))) bytes += (await stat(cache.partial(digest)).catch(() => undefined))?.size ?? 0;
    }
    if (bytes > 0) found.push({ repo: cache.repo, bytes });
  }
  return found;
}

async function repositories(cacheFolder: string): Promise<RepoCache[]> {
  const repos = (await readdir(cacheFolder).catch(() => [])).map((name) => /^models--(.+?)--(.+)$/.exec(name)?.slice(1).join("/") ?? "");
  return repos.filter(isRepo).map((repo) => new RepoCache(cacheFolder, repo));
}

async function described(cache: RepoCache, commit: string, model: Model, all: readonly Model[], revision: string): Promise<CachedModel> {
  const { files, quant, bytes } = model;
  const isOnly = quant !== undefined && all.filter((other) => other.quant === quant).length === 1;
  const path = cache.pointer(commit, files[0]!.path);
  const times = await stat(path).catch(() => undefined);
  return {
    reference: writeReference({ repo: cache.repo, revision, ...(isOnly ? { quant } : { file: files[0]!.path }) }),
    repo: cache.repo,
    commit,
    ...(quant === undefined ? {} : { quant }),
    path,
    bytes,
    lastUsed: Math.max(times?.atimeMs ?? 0, times?.mtimeMs ?? 0),
  };
}

/** What was taken away. */
export interface Removed {
  /** Paths within the repository. */
  files: string[];
  /** Bytes that the disk has back. */
  freedBytes: number;
}

/**
 * Takes a model away: from every snapshot, or from that of the revision that is named. Without a quantization or a file, all models of the repository. Files of other
 * kinds stay.
 * @throws ZSEError MODEL_NOT_FOUND; DOWNLOAD_FAILED where one of its files is being fetched just now, and where the disk refuses
 */
export async function removeModel(cacheFolder: string, reference: HubReference): Promise<Removed> {
  const cache = new RepoCache(cacheFolder, reference.repo);
  const commit = reference.revision === MAIN ? undefined : await cache.commitOf(reference.revision);
  const commits = reference.revision === MAIN ? await cache.commits() : commit === undefined ? [] : [commit];
  const pointers: { commit: string; path: string }[] = [];
  for (const commit of commits) {
    const files = await cache.files(commit);
    for (const { path } of filesOf(files, reference)) pointers.push({ commit, path });
  }
  const partials = reference.quant === undefined && reference.file === undefined ? await abandonedPartials(cache) : [];
  if (pointers.length === 0 && partials.length === 0)
    throw notFound(`${writeReference(reference)} is not in ${JSON.stringify(cacheFolder)}.`);
  try {
    return await remove(cache, pointers, partials);
  } catch (error) {
    throw diskFailure(error, cache.folder);
  }
}

function filesOf(files: readonly Sized[], reference: HubReference): readonly Sized[] {
  if (reference.quant === undefined && reference.file === undefined) return modelsAmong(files).flatMap((model) => model.files);
  return meant(files, reference)?.files ?? [];
}

/** Checksums of files that are there in part. */
async function partialsOf(cache: RepoCache): Promise<string[]> {
  const names = await readdir(join(cache.folder, "blobs")).catch(() => []);
  return names.flatMap((name) => /^([0-9a-f]+)\.zse\.incomplete$/.exec(name)?.[1] ?? []).filter(isDigest);
}

/** The same, unless somebody fetches one of them. */
async function abandonedPartials(cache: RepoCache): Promise<string[]> {
  const partials = await partialsOf(cache);
  for (const digest of partials) {
    if (await isHeld(cache.lock(digest))) throw failed(`hf:${cache.repo} is being fetched by another process just now; end that first.`);
  }
  return partials;
}

async function remove(
  cache: RepoCache,
  pointers: readonly { commit: string; path: string }[],
  partials: readonly string[],
): Promise<Removed> {
  let freedBytes = 0;
  const takeAway = async (path: string) => {
    freedBytes += (await stat(path).catch(() => undefined))?.size ?? 0;
    await unlink(path);
  };
  const blobs = new Set<string>();
  for (const { commit, path } of pointers) {
    const pointer = cache.pointer(commit, path);
    const blob = await blobOf(cache, pointer);
    if (blob === undefined) await takeAway(pointer);
    else {
      blobs.add(blob);
      await unlink(pointer);
    }
    await removeEmpty(dirname(pointer), join(cache.folder, "snapshots"));
  }
  const needed = await blobsInUse(cache);
  for (const blob of blobs) if (!needed.has(blob)) await takeAway(blob);
  for (const digest of partials) await takeAway(cache.partial(digest));
  await removeRefs(cache);
  if ((await cache.commits()).length === 0 && (await readdir(join(cache.folder, "blobs")).catch(() => [])).length === 0) {
    await rm(cache.folder, { recursive: true, force: true });
    await rm(cache.locksFolder, { recursive: true, force: true });
  }
  return { files: [...new Set(pointers.map(({ path }) => path))], freedBytes };
}

/** The blob that a link of a snapshot leads to; undefined where it is the file itself, or leads out of the repository's own folder. */
async function blobOf(cache: RepoCache, pointer: string): Promise<string | undefined> {
  const target = await readlink(pointer).catch(() => undefined);
  if (target === undefined) return undefined;
  const blob = resolve(await realpath(dirname(pointer)), target);
  return dirname(blob) === join(await realpath(cache.folder), "blobs") ? blob : undefined;
}

/** Blobs that some snapshot has a link to, whatever its name. */
async function blobsInUse(cache: RepoCache): Promise<Set<string>> {
  const used = new Set<string>();
  const snapshots = join(cache.folder, "snapshots");
  for (const entry of await readdir(snapshots, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const blob = entry.isSymbolicLink() ? await blobOf(cache, join(entry.parentPath, entry.name)) : undefined;
    if (blob !== undefined) used.add(blob);
  }
  return used;
}

/** Folders that have become empty, from the inner to the outer one. */
async function removeEmpty(folder: string, upTo: string): Promise<void> {
  for (let at = folder; at !== upTo && at.startsWith(upTo); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      return; // something else is in it
    }
  }
}

/** Refs to snapshots that are gone: other tools take them for damage. */
async function removeRefs(cache: RepoCache): Promise<void> {
  const there = new Set(await cache.commits());
  for (const [revision, commit] of await cache.refs()) if (!there.has(commit)) await unlink(cache.ref(revision));
}
