// The stand-in's half in the process of a utilityProcess: process.parentPort, and the ports that come with its messages. See stand-in.ts.
import { EventEmitter } from "node:events";

const ports = new Map();

class PortMain extends EventEmitter {
  #end;
  #started = false;
  #waiting = [];
  #closed = false;

  constructor(end) {
    super();
    this.#end = end;
    ports.set(end, this);
  }

  start() {
    setImmediate(() => {
      this.#started = true;
      for (const one of this.#waiting.splice(0)) this.#happen(one);
    });
  }

  postMessage(data) {
    if (!this.#closed) process.send({ port: { end: this.#end, data } });
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    ports.delete(this.#end);
    process.send({ port: { end: this.#end, close: true } });
  }

  hear(message) {
    if (this.#started) this.#happen(message);
    else this.#waiting.push(message);
  }

  #happen({ data, close }) {
    if (this.#closed) return;
    if (close) {
      this.#closed = true;
      ports.delete(this.#end);
      this.emit("close");
    } else this.emit("message", { data, ports: [] });
  }
}

const parentPort = new EventEmitter();
parentPort.postMessage = (data) => process.send({ data });
const waiting = [];
parentPort.on("newListener", (name) => {
  if (name === "message") setImmediate(() => waiting.splice(0).forEach((one) => void parentPort.emit("message", one)));
});
process.on("message", (message) => {
  if (message.port !== undefined) {
    ports.get(message.port.end)?.hear(message.port);
    return;
  }
  const event = { data: message.data, ports: message.ports.map((end) => new PortMain(end)) };
  if (parentPort.listenerCount("message") > 0 && waiting.length === 0) parentPort.emit("message", event);
  else waiting.push(event);
});
process.on("disconnect", () => process.exit());
process.parentPort = parentPort;
