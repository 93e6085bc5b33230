// Owns the ids of what goes out. Any thread.

/** Such as msg_0123…: unguessable, since it may name something that is kept. */
export function newId(prefix: string): string {
  return `${prefix}_${crypto.randomUUID().replaceAll("-", "")}`;
}
