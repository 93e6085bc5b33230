// Hosts of the fake addon at the other end of a MessageChannel, for the unit tests of isolated engines: they crash when a test says so.

import { MessageChannel, type MessagePort } from "node:worker_threads";
import { AddonLink } from "../../lib/engine/addon-link.js";
import { type Host, type HostEnd, type MessagePortLike, messagePort, type Port, type StartHost } from "../../lib/engine/port/port.js";
import { PortHost } from "../../lib/engine/port/port-host.js";
import { FakeAddon, type FakeEngine, type FakeOptions } from "./fake-native.js";

const portOf = (port: MessagePort): Port => messagePort(port as unknown as MessagePortLike);

export class FakeHost implements Host {
  readonly port: Port;
  readonly addon: FakeAddon;
  kills = 0;
  /** Whether it keeps the process alive, as it was last told. */
  alive = false;
  /** What came to it, from the first message on. */
  readonly heard: unknown[] = [];
  readonly #far: MessagePort;
  readonly #ended: (how: HostEnd) => void;
  #gone = false;
  /** It hears nothing more, and says nothing. */
  stopped = false;

  constructor(options: FakeOptions, ended: (how: HostEnd) => void) {
    const { port1, port2 } = new MessageChannel();
    this.#ended = ended;
    this.addon = new FakeAddon(options);
    const near = portOf(port1);
    this.port = {
      ...near,
      post: (message) => {
        if (!this.stopped) near.post(message);
      },
    };
    this.#far = port2;
    port2.on("message", (message) => this.heard.push(message));
    new PortHost(
      portOf(port2),
      ({ path, options: given }, listener) => new AddonLink(this.addon, path, given, listener),
      () => this.crash("ended with code 0"),
    );
  }

  get engine(): FakeEngine {
    return this.addon.model;
  }

  /** What it has said is heard first. */
  crash(how: HostEnd = "was ended by SIGSEGV"): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#far.close();
    setTimeout(() => this.#ended(how), 5);
  }

  kill(): void {
    this.kills++;
    this.crash("was ended by SIGKILL");
  }

  keepAlive(yes: boolean): void {
    this.alive = yes;
  }
}

/** Starts hosts, each with the options that `optionsOf` has for it, from 0. */
export function fakeHosts(optionsOf: (index: number) => FakeOptions = () => ({})): { hosts: FakeHost[]; start: StartHost } {
  const hosts: FakeHost[] = [];
  const start: StartHost = (ended) => {
    const host = new FakeHost(optionsOf(hosts.length), ended);
    hosts.push(host);
    return host;
  };
  return { hosts, start };
}
