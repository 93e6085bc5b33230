// Owns putting the page of `zse serve` together. Runs in a page.

import { render } from "preact";
import { App } from "./app.js";
import { Chats } from "./chats.js";
import { Server } from "./server.js";
import { Settings } from "./settings.js";

const settings = new Settings();
const server = new Server(settings);
const chats = new Chats(server.source);
void server.ask();
render(<App settings={settings} server={server} chats={chats} />, document.getElementById("page")!);
