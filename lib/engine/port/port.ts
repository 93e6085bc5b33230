// Owns the words for a channel to an engine that runs elsewhere, and for whoever runs it: what MessagePort, Electron's MessagePortMain and a
// child process' IPC have in common. Types, and the port of a MessagePort; any thread.

/** One end of a channel. Messages are plain data: they cross as structured clones, in order, and none is lost while both ends live. */
export interface Port {
  /** Never throws, also when the channel has ended: then nothing is sent. */
  post(message: unknown): void;
  /** Says who hears what comes, and, once, of the channel's end. To be called once; messages wait until then. */
  listen(hear: (message: unknown) => void, ended: () => void): void;
  close(): void;
}

/** What runs an engine at the other end of a port: a process, most often. */
export interface Host {
  readonly port: Port;
  /** Ends it at once, whatever it is doing. */
  kill(): void;
  /** Whether it keeps this process alive. */
  keepAlive(yes: boolean): void;
}

/** How a host came to its end, for people: "was ended by SIGSEGV". */
export type HostEnd = string;

/** Starts a host. `ended` is called once, after its last message was heard. Throws where none can be started at all. */
export type StartHost = (ended: (how: HostEnd) => void) => Host;

/** MessagePort of the web and of worker_threads: either has these. */
export interface MessagePortLike {
  postMessage(message: unknown): void;
  addEventListener(type: "message" | "messageerror" | "close", listener: (event: { data?: unknown }) => void): void;
  start?(): void;
  close(): void;
}

/** A port by way of a MessagePort. Where that says nothing of its end (Chromium before 122), nobody is told. */
export function messagePort(port: MessagePortLike): Port {
  let open = true;
  return {
    post: (message) => {
      if (open) port.postMessage(message);
    },
    listen: (hear, ended) => {
      const end = () => {
        if (!open) return;
        open = false;
        ended();
      };
      port.addEventListener("message", ({ data }) => {
        if (open) hear(data);
      });
      port.addEventListener("close", end);
      port.start?.();
    },
    close: () => {
      open = false;
      port.close();
    },
  };
}
