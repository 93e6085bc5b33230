// A hub on loopback, over real sockets: it lists repositories and gives their files as Hugging Face does, by way of a second server of another
// origin, and behaves in any way that a test wants.

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export interface HubRequest {
  /** "hub" has the lists, "storage" the large files. */
  at: "hub" | "storage";
  url: string;
  headers: IncomingMessage["headers"];
}

/** Answers a request in place of the hub; returns whether it did. */
export type Hostile = (request: HubRequest, response: ServerResponse, content: Buffer | undefined) => boolean;

export interface HubFileOnServer {
  content: Buffer;
  /** Small files are git's own, and lie at the hub itself. */
  small?: boolean;
  /** What the list tells in place of the truth. */
  listed?: Record<string, unknown>;
}

export class HostileHub {
  readonly requests: HubRequest[] = [];
  /** Path → file, of each repository. */
  readonly repos = new Map<string, Map<string, HubFileOnServer>>();
  readonly commits = new Map<string, string>();
  hostile: Hostile = () => false;
  readonly #prefix: string;
  readonly #hub: Server;
  readonly #storage: Server;

  private constructor(prefix: string) {
    this.#prefix = prefix;
    this.#hub = createServer((request, response) => this.#onHub(request, response));
    this.#storage = createServer((request, response) => this.#onStorage(request, response));
  }

  static async open({ prefix = "" } = {}): Promise<HostileHub> {
    const hub = new HostileHub(prefix);
    await Promise.all([hub.#hub, hub.#storage].map((server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))));
    return hub;
  }

  /** What HF_ENDPOINT is. */
  get endpoint(): string {
    return `http://127.0.0.1:${portOf(this.#hub)}${this.#prefix}`;
  }

  /** Another name of this machine: another origin. */
  get storage(): string {
    return `http://localhost:${portOf(this.#storage)}`;
  }

  add(repo: string, path: string, file: HubFileOnServer | Buffer): void {
    const files = this.repos.get(repo) ?? new Map<string, HubFileOnServer>();
    this.repos.set(repo, files.set(path, Buffer.isBuffer(file) ? { content: file } : file));
    if (!this.commits.has(repo)) this.commits.set(repo, COMMIT);
  }

  /** Requests for a file's bytes. */
  get fetches(): HubRequest[] {
    return this.requests.filter(({ at, url }) => at === "storage" || url.includes("/resolve/"));
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #onHub(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? "/", "http://x");
    const path = decodeURIComponent(pathname.startsWith(this.#prefix) ? pathname.slice(this.#prefix.length) : "/nowhere");
    const [, repo = "", what = "", revision = "", file = ""] =
      /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(path) ??
      /^\/([^/]+\/[^/]+)\/(resolve)\/([^/]+)\/(.+)$/.exec(path) ??
      [];
    const files = this.repos.get(repo);
    const found = files?.get(file);
    const seen: HubRequest = { at: "hub", url: request.url ?? "", headers: request.headers };
    this.requests.push(seen);
    const commit = this.commits.get(repo)!;
    if (this.hostile(seen, response, found?.content)) return;
    if (files === undefined) refuse(response, 401, "RepoNotFound");
    else if (what !== "resolve" && revision !== "main" && revision !== commit) refuse(response, 404, "RevisionNotFound");
    else if (what === "revision") json(response, { sha: commit, private: false });
    else if (what === "tree") json(response, listOf(files));
    else if (found === undefined) refuse(response, 404, "EntryNotFound");
    else if (found.small === true) give(request, response, found.content);
    else response.writeHead(302, { location: `${this.storage}/${repo}/${file}?signature=abc` }).end();
  }

  #onStorage(request: IncomingMessage, response: ServerResponse): void {
    const [, repo = "", file = ""] =
      /^\/([^/]+\/[^/]+)\/(.+)$/.exec(decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname)) ?? [];
    const content = this.repos.get(repo)?.get(file)?.content;
    const seen: HubRequest = { at: "storage", url: request.url ?? "", headers: request.headers };
    this.requests.push(seen);
    if (this.hostile(seen, response, content)) return;
    if (content === undefined) response.writeHead(404).end();
    else give(request, response, content);
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** As a server that knows ranges gives a file. */
export function give(request: { headers: IncomingMessage["headers"] }, response: ServerResponse, content: Buffer): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  if (from === 0) response.writeHead(200, { "content-length": content.length }).end(content);
  else if (from >= content.length) response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
  else {
    const range = `bytes ${from}-${content.length - 1}/${content.length}`;
    response.writeHead(206, { "content-length": content.length - from, "content-range": range }).end(content.subarray(from));
  }
}

// Each of these has answered, and returns true.

export function answer(
  response: ServerResponse,
  status: number,
  headers: Record<string, string | number> = {},
  body: string | Buffer = "",
): true {
  response.writeHead(status, headers).end(body);
  return true;
}

export function json(response: ServerResponse, value: unknown): true {
  return answer(response, 200, { "content-type": "application/json" }, JSON.stringify(value));
}

export function refuse(response: ServerResponse, status: number, code: string, more: Record<string, string> = {}): true {
  return answer(response, status, { "x-error-code": code, "x-error-message": `${code} it is`, ...more }, "{}");
}

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

export function gitSha1(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

export function listOf(files: ReadonlyMap<string, HubFileOnServer>): object[] {
  return [...files].map(([path, { content, small, listed }]) => ({
    type: "file",
    path,
    size: content.length,
    oid: gitSha1(content),
    ...(small === true ? {} : { lfs: { oid: sha256(content), size: content.length, pointerSize: 134 }, xetHash: "ab".repeat(32) }),
    ...listed,
  }));
}
