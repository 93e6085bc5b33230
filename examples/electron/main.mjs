// The app's main process: a window, the models that it may open, and nothing of what they say. Tokens go from the engine's process to the page.
//   npm install && npm start          models of your own: .gguf or .zse files in models/

import { existsSync, readdirSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { app, BrowserWindow, Menu, net, protocol } from "electron";
import { preload, serveModels } from "zstream/electron/main";
import { CSP, fileOf } from "./page-files.mjs";

// The page has an origin of its own, which file: has not.
protocol.registerSchemesAsPrivileged([{ scheme: "app", privileges: { standard: true, secure: true, supportFetchAPI: true } }]);

const folder = app.isPackaged ? join(process.resourcesPath, "models") : join(import.meta.dirname, "models");
const files = existsSync(folder) ? readdirSync(folder).filter((name) => /\.(gguf|zse)$/.test(name)) : [];
const own = files.map((name) => [basename(name, extname(name)), { path: join(folder, name) }]);

let models;

function openWindow() {
  const window = new BrowserWindow({
    width: 980,
    height: 760,
    minWidth: 420,
    backgroundColor: "#16171a",
    webPreferences: { preload, sandbox: true, contextIsolation: true, nodeIntegration: false },
  });
  models.allow(window.webContents);
  // The page stays the page.
  window.webContents.on("will-navigate", (event) => event.preventDefault());
  window.webContents.setWindowOpenHandler(() => ({ action: "deny" }));
  void window.loadURL("app://chat/");
}

function menu() {
  const crash = () => models.pid !== undefined && process.kill(models.pid, "SIGKILL");
  return Menu.buildFromTemplate([
    { role: process.platform === "darwin" ? "appMenu" : "fileMenu" },
    { role: "editMenu" },
    { role: "viewMenu" },
    {
      label: "Engine",
      submenu: [
        { label: "New window", accelerator: "CmdOrCtrl+N", click: openWindow },
        // To see what becomes of a reply then.
        { id: "crash", label: "Crash the engine's process", accelerator: "CmdOrCtrl+Shift+K", click: crash },
      ],
    },
  ]);
}

// Electron is not ready before this file has been run: an `await` of it here would wait for ever.
app.whenReady().then(() => {
  protocol.handle("app", async ({ url }) => {
    const file = fileOf(new URL(url).pathname);
    if (file === undefined) return new Response("not found", { status: 404 });
    const response = await net.fetch(pathToFileURL(file).href);
    return new Response(response.body, {
      headers: { "content-type": response.headers.get("content-type"), "content-security-policy": CSP },
    });
  });
  models = serveModels({ models: Object.fromEntries([...own, ["demo", { options: { contextSize: 1024 } }]]) });
  Menu.setApplicationMenu(menu());
  openWindow();
});

app.on("activate", () => BrowserWindow.getAllWindows().length === 0 && openWindow());
app.on("window-all-closed", () => process.platform !== "darwin" && app.quit());
// Caches of prompts are written, and memory is given back, before the app is gone.
let closed = false;
app.on("before-quit", (event) => {
  if (closed) return;
  event.preventDefault();
  void models.close().then(() => {
    closed = true;
    app.quit();
  });
});
