// Owns which names from outside may become a part of a path or an address: a listing, a lock file or a caller may say anything. Pure.

/** A branch, tag or commit that is not named. */
export const MAIN = "main";

const LONGEST_SEGMENT = 200;
const LONGEST_PATH = 1000;

/** "org/repo", by the hub's own rules: no name begins or ends with a dot or hyphen, nor has two of them in a row. */
export function isRepo(name: string): boolean {
  const part = /^(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?$/;
  const parts = name.split("/");
  return parts.length === 2 && parts.every((one) => part.test(one));
}

export function isCommit(text: unknown): text is string {
  return typeof text === "string" && /^[0-9a-f]{40}$/.test(text);
}

/** A SHA-256, or for small files the SHA-1 of git's blob. */
export function isDigest(text: unknown): text is string {
  return typeof text === "string" && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

/** A path of a repository, that stays below the folder it is put into on every system, and whose name no terminal acts on. */
export function isSafePath(path: string): boolean {
  if (path.length > LONGEST_PATH) return false;
  // What Windows forbids or reads in a way of its own, control characters, and those that turn the direction of writing.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through
  if (/[<>:"\\|?*\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/.test(path)) return false;
  return path.split("/").every((one) => one !== "" && one.length <= LONGEST_SEGMENT && !/^\.\.?$|[. ]$/.test(one));
}

/** A branch, a tag, a commit, or a pull request as "refs/pr/3". */
export function isRevision(text: string): boolean {
  return text.length <= 255 && /^[\w][\w./-]*$/.test(text) && !text.includes("..") && isSafePath(text);
}
