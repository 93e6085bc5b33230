// Owns how a model of the hub comes into the cache folder: found there without a request, or listed, chosen, fetched and put in its place. Any thread.

import { ZSEError } from "../errors.js";
import type { FetchEvent, PulledModel } from "../types.js";
import { fetchBlob } from "./blob.js";
import { RepoCache } from "./cache.js";
import { diskFailure, notFound } from "./failures.js";
import { type HubFile, listRepo } from "./listing.js";
import { memoryHere } from "./memory.js";
import { fitting, type Memory, type Model, meant, notAmong, type Sized } from "./models.js";
import { MAIN } from "./names.js";
import { News } from "./news.js";
import { Patience } from "./patience.js";
import { type HubReference, writeReference } from "./reference.js";
import { type HubSettings, readSettings } from "./settings.js";

export interface PullContext {
  settings: HubSettings;
  signal: AbortSignal;
  onEvent: (event: FetchEvent) => void;
  /** Asks the hub also where the model is there. */
  update: boolean;
  memory: Memory;
}

/** What is not said of how to pull is as usual. @throws ZSEError BAD_OPTION for what the environment says wrongly */
export function pullContext(given: Partial<PullContext> = {}): PullContext {
  return {
    settings: given.settings ?? readSettings(),
    signal: given.signal ?? new AbortController().signal,
    onEvent: given.onEvent ?? (() => {}),
    update: given.update ?? false,
    memory: given.memory ?? memoryHere(),
  };
}

/**
 * Fetches a model, unless it is there: then nothing is asked of the network.
 * @throws ZSEError DOWNLOAD_FAILED, MODEL_NOT_FOUND, UNSUPPORTED (no model fits into memory), BAD_OPTION (several are meant); the signal's reason
 */
export async function pullModel(reference: HubReference, context: PullContext): Promise<PulledModel> {
  const { settings, update, signal } = context;
  signal.throwIfAborted();
  const cache = new RepoCache(settings.cacheFolder, reference.repo);
  const there = update && !settings.offline ? undefined : await cached(cache, reference, context);
  if (there !== undefined) return there;
  if (settings.offline) {
    throw notFound(
      `${writeReference(reference)} is not in ${JSON.stringify(settings.cacheFolder)}, and HF_HUB_OFFLINE forbids to fetch it.`,
    );
  }
  return await fetched(cache, reference, context);
}

/** The model as it is in the cache. */
async function cached(cache: RepoCache, reference: HubReference, { settings, memory }: PullContext): Promise<PulledModel | undefined> {
  const commit = await cache.commitOf(reference.revision);
  const commits = commit === undefined ? [] : [commit];
  // Main may have gone on since, for another file's sake: without a network, what was main before is better than nothing. Not what is another branch's.
  if (settings.offline && reference.revision === MAIN) {
    const named = new Set((await cache.refs()).values());
    commits.push(...(await cache.commits()).filter((one) => !named.has(one)));
  }
  for (const commit of commits) {
    const model = known(await cache.files(commit), reference, memory);
    if (model === undefined) continue;
    for (const { path } of model.files) await cache.touch(commit, path);
    return pulled(cache, commit, model, false);
  }
  return undefined;
}

function known(files: readonly Sized[], reference: HubReference, memory: Memory): Model | undefined {
  if (reference.quant !== undefined || reference.file !== undefined) return meant(files, reference);
  try {
    return fitting(files, reference, memory).model;
  } catch (error) {
    if (error instanceof ZSEError) return undefined; // the hub has more to choose from
    throw error;
  }
}

async function fetched(cache: RepoCache, reference: HubReference, context: PullContext): Promise<PulledModel> {
  const { settings, signal, onEvent } = context;
  const { repo, revision } = reference;
  const patience = new Patience(settings.firstWaitMs, signal, (retry) => onEvent({ type: "retry", ...retry }));
  const { commit, files } = await listRepo(settings, repo, revision, patience, signal);
  const model = choose(files, reference, context);
  try {
    await cache.makeFolders();
  } catch (error) {
    throw diskFailure(error, settings.cacheFolder);
  }
  const news = new News(model.bytes, onEvent);
  let any = false;
  for (const file of model.files) {
    if (!(await cache.hasPointer(commit, file.path, file.bytes))) {
      any = true;
      const url = new URL(`${repo}/resolve/${commit}/${file.path.split("/").map(encodeURIComponent).join("/")}`, settings.endpoint);
      await fetchBlob({ file, cache, url, settings, signal, listener: news.of(file) });
      await onCacheDisk(settings, () => cache.point(commit, file.path, file.digest));
    }
    news.done(file);
  }
  await onCacheDisk(settings, () => cache.setRef(revision, commit));
  return pulled(cache, commit, model, any);
}

async function onCacheDisk(settings: HubSettings, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw diskFailure(error, settings.cacheFolder);
  }
}

function choose(files: readonly HubFile[], reference: HubReference, { memory, onEvent }: PullContext): Model<HubFile> {
  if (reference.quant !== undefined || reference.file !== undefined) {
    const model = meant(files, reference);
    if (model === undefined) throw notAmong(files, reference);
    return model;
  }
  const { model, because } = fitting(files, reference, memory);
  const { quant, bytes } = model;
  onEvent({ type: "chosen", file: model.files[0]!.path, ...(quant === undefined ? {} : { quant }), bytes, because });
  return model;
}

function pulled(cache: RepoCache, commit: string, { files, bytes, quant }: Model, fetched: boolean): PulledModel {
  const paths = files.map(({ path }) => cache.pointer(commit, path));
  return { path: paths[0]!, files: paths, repo: cache.repo, commit, ...(quant === undefined ? {} : { quant }), bytes, fetched };
}
