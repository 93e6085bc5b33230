// Owns setImmediate for pages, which have none: a task of its own at the end of the turn, not a timer (those of a page in the background are
// slowed down). Imported for its effect, before anything else of a page's bundle.

interface Turns {
  setImmediate?: (callback: () => void) => unknown;
}

interface Channel {
  port1: { onmessage: (() => void) | null };
  port2: { postMessage(message: unknown): void };
}

const page = globalThis as unknown as Turns & { MessageChannel: new () => Channel };
if (page.setImmediate === undefined) {
  const { port1, port2 } = new page.MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  page.setImmediate = (callback) => {
    waiting.push(callback);
    port2.postMessage(0);
  };
}
