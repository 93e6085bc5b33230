// Owns the cache folder of one repository, in the layout of Hugging Face's own tools: blobs by checksum, snapshots of links to them, refs that
// name a snapshot. Everything is put in its place by one rename or link, so that another process sees it whole or not at all. Any thread.

import { randomUUID } from "node:crypto";
import { copyFile, link, lstat, mkdir, readdir, readFile, rename, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { isCommit, isRevision, isSafePath } from "./names.js";

/** A file of a snapshot whose bytes are there. */
export interface CachedFile {
  /** Within the repository, with slashes. */
  path: string;
  bytes: number;
}

/** Folders of a snapshot, one in the other. */
const DEEPEST = 8;
const MOST_FILES = 20_000;

export class RepoCache {
  readonly repo: string;
  readonly folder: string;
  readonly #locks: string;

  constructor(cacheFolder: string, repo: string) {
    const name = `models--${repo.replace("/", "--")}`;
    this.repo = repo;
    this.folder = join(cacheFolder, name);
    this.#locks = join(cacheFolder, ".locks", name);
  }

  blob(digest: string): string {
    return join(this.folder, "blobs", digest);
  }

  /** What is there of a blob; Hugging Face's tools have names of their own for theirs, which cannot be gone on with. */
  partial(digest: string): string {
    return join(this.folder, "blobs", `${digest}.zse.incomplete`);
  }

  lock(digest: string): string {
    return join(this.#locks, `${digest}.zse.lock`);
  }

  get locksFolder(): string {
    return this.#locks;
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  pointer(commit: string, path: string): string {
    return join(this.snapshot(commit), ...path.split("/"));
  }

  ref(revision: string): string {
    return join(this.folder, "refs", ...revision.split("/"));
  }

  async makeFolders(): Promise<void> {
    await mkdir(join(this.folder, "blobs"), { recursive: true });
    await mkdir(this.#locks, { recursive: true });
  }

  /** The commit that a revision was at when it was asked for last. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readFile(this.ref(revision), "utf8").catch(() => "");
    const commit = text.trim();
    return isCommit(commit) ? commit : undefined;
  }

  /** Commits by the revisions that were at them when they were asked for last. */
  async refs(): Promise<Map<string, string>> {
    const names = await readdir(join(this.folder, "refs"), { recursive: true }).catch(() => []);
    const found = new Map<string, string>();
    for (const name of names) {
      const revision = name.split(sep).join("/");
      const commit = isRevision(revision) && !isCommit(revision) ? await this.commitOf(revision) : undefined; // of a folder nothing is read
      if (commit !== undefined) found.set(revision, commit);
    }
    return found;
  }

  /** Commits that there is a snapshot of, the newest first. */
  async commits(): Promise<string[]> {
    const names = (await readdir(join(this.folder, "snapshots")).catch(() => [])).filter(isCommit);
    const dated = await Promise.all(
      names.map(async (name) => ({ name, at: (await stat(this.snapshot(name)).catch(() => undefined))?.mtimeMs ?? 0 })),
    );
    return dated.sort((a, b) => b.at - a.at).map(({ name }) => name);
  }

  /** The files of a snapshot that are there whole. */
  async files(commit: string): Promise<CachedFile[]> {
    const found: CachedFile[] = [];
    const walk = async (folder: string, depth: number): Promise<void> => {
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        if (found.length === MOST_FILES) return;
        const full = join(folder, entry.name);
        if (entry.isDirectory()) {
          if (depth < DEEPEST) await walk(full, depth + 1);
          continue;
        }
        const path = relative(this.snapshot(commit), full).split(sep).join("/");
        const there = isSafePath(path) ? await stat(full).catch(() => undefined) : undefined; // a link whose blob is gone is none
        if (there?.isFile()) found.push({ path, bytes: there.size });
      }
    };
    await walk(this.snapshot(commit), 0);
    return found;
  }

  async has(digest: string, bytes: number): Promise<boolean> {
    const there = await stat(this.blob(digest)).catch(() => undefined);
    return there?.isFile() === true && there.size === bytes;
  }

  /** Whether a snapshot has the file: a commit's files never change. */
  async hasPointer(commit: string, path: string, bytes: number): Promise<boolean> {
    return (await stat(this.pointer(commit, path)).catch(() => undefined))?.size === bytes;
  }

  /** Puts a blob into a snapshot, as a link. Where the system lets nobody make links, as a second name, or a copy. */
  async point(commit: string, path: string, digest: string): Promise<void> {
    const pointer = this.pointer(commit, path);
    const blob = this.blob(digest);
    await mkdir(dirname(pointer), { recursive: true });
    const own = `${pointer}.${randomUUID().slice(0, 8)}.tmp`;
    try {
      await symlink(relative(dirname(pointer), blob), own);
    } catch {
      await link(blob, own).catch(() => copyFile(blob, own));
    }
    await rename(own, pointer);
  }

  /** Says that a revision is at a commit. Not before its snapshot is there: other tools take a ref without one for damage. */
  async setRef(revision: string, commit: string): Promise<void> {
    if (isCommit(revision)) return;
    const ref = this.ref(revision);
    if ((await readFile(ref, "utf8").catch(() => undefined)) === commit) return;
    await mkdir(dirname(ref), { recursive: true });
    const own = `${ref}.${randomUUID().slice(0, 8)}.tmp`;
    await writeFile(own, commit);
    await rename(own, ref);
  }

  /** Notes that a file was used: systems seldom do so themselves. */
  async touch(commit: string, path: string): Promise<void> {
    const pointer = this.pointer(commit, path);
    try {
      const { mtime } = await stat(pointer);
      await utimes(pointer, new Date(), mtime);
    } catch {
      // A folder of somebody else's is as good to read from.
    }
  }

  /** Whether there is anything of this repository. */
  async exists(): Promise<boolean> {
    return (await lstat(this.folder).catch(() => undefined)) !== undefined;
  }
}
