// Owns setImmediate for pages, which have none: a task of its own at the end of the turn, not a timer (those of a page in the background are
// slowed down). scripts/bundle-page.mjs puts these two in the places of Node's in a page's file; the page itself sees nothing of them.

interface Channel {
  port1: { onmessage: (() => void) | null };
  port2: { postMessage(message: unknown): void };
}

interface Turn {
  callback: (() => void) | undefined;
}

const { port1, port2 } = new (globalThis as unknown as { MessageChannel: new () => Channel }).MessageChannel();
const waiting: Turn[] = [];
port1.onmessage = () => waiting.shift()?.callback?.();

export function setImmediate(callback: () => void): Turn {
  const turn: Turn = { callback };
  waiting.push(turn);
  port2.postMessage(0);
  return turn;
}

export function clearImmediate(turn: Turn): void {
  turn.callback = undefined;
}
