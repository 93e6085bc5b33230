import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // While working on the page: `zse serve` beside it.
  server: { proxy: { "/v1": "http://127.0.0.1:8000" } },
});
