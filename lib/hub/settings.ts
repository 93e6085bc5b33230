// Owns what the environment says of the hub, in the variables of Hugging Face's own tools: the cache folder, the address, the token. Read
// anew for each model; any thread.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { quote } from "../base/quote.js";
import { ZSEError } from "../errors.js";

export interface HubSettings {
  /** The folder that tools share: absolute. */
  cacheFolder: string;
  /** The hub, or a mirror of it; its path ends with a slash. */
  endpoint: URL;
  token: string | undefined;
  /** No request is made. */
  offline: boolean;
  /** Silence (ms) after which a connection counts as broken. */
  silenceMs: number;
  /** Wait (ms) before the first try that is made again; each further one waits twice as long. */
  firstWaitMs: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const HUB = "https://huggingface.co/";
const SILENCE_MS = 30_000;
const FIRST_WAIT_MS = 1000;
const LONGEST_TOKEN = 4096;

/** @throws ZSEError BAD_OPTION naming the variable that holds something else than it should */
export function readSettings(environment: Environment = process.env): HubSettings {
  const of = (name: string) => environment[name]?.trim() || undefined;
  const home = resolve(expanded(of("HF_HOME") ?? join(of("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface")));
  return {
    cacheFolder: resolve(expanded(of("HF_HUB_CACHE") ?? of("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"))),
    endpoint: readEndpoint(of("HF_ENDPOINT")),
    token: readToken(of("HF_TOKEN") ?? of("HUGGING_FACE_HUB_TOKEN"), expanded(of("HF_TOKEN_PATH") ?? join(home, "token"))),
    offline: /^(?:1|on|yes|true)$/i.test(of("HF_HUB_OFFLINE") ?? ""),
    silenceMs: readSilence(of("HF_HUB_DOWNLOAD_TIMEOUT")),
    firstWaitMs: FIRST_WAIT_MS,
  };
}

/** As Hugging Face's tools read a path: ~ is the home folder. */
function expanded(path: string): string {
  return path.replace(/^~(?=$|[\\/])/, () => homedir());
}

function readEndpoint(given: string | undefined): URL {
  const wrong = new ZSEError("BAD_OPTION", `HF_ENDPOINT must be an http: or https: address; given ${quote(given)}.`, {
    option: "HF_ENDPOINT",
  });
  if (given === undefined) return new URL(HUB);
  if (!/^https?:\/\//i.test(given)) throw wrong;
  try {
    const url = new URL(given);
    url.search = url.hash = "";
    url.pathname = url.pathname.replace(/\/*$/, "/");
    return url;
  } catch {
    throw wrong;
  }
}

/** The token itself is never told: what a program prints is kept in logs. */
function readToken(given: string | undefined, file: string): string | undefined {
  let token = given;
  let from = "HF_TOKEN";
  if (token === undefined) {
    try {
      from = file;
      token = readFileSync(file, "utf8").trim() || undefined;
    } catch {
      return undefined; // nobody has logged in
    }
  }
  if (token === undefined || (token.length <= LONGEST_TOKEN && /^[\x21-\x7e]+$/.test(token))) return token;
  throw new ZSEError("BAD_OPTION", `${from} must hold a token of Hugging Face: ASCII characters without spaces. It holds others.`, {
    option: "HF_TOKEN",
  });
}

function readSilence(given: string | undefined): number {
  if (given === undefined) return SILENCE_MS;
  const seconds = Number(given);
  if (seconds > 0 && seconds <= 86_400) return Math.ceil(seconds * 1000);
  throw new ZSEError("BAD_OPTION", `HF_HUB_DOWNLOAD_TIMEOUT must be a number of seconds up to 86400; given ${quote(given)}.`, {
    option: "HF_HUB_DOWNLOAD_TIMEOUT",
  });
}
