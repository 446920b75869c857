// SPDX-License-Identifier: Apache-2.0
// One script, one style sheet, fixed names: the binary embeds a fixed list of files and serves them
// with an ETag, so hashed names would buy nothing.
import { defineConfig } from "vite";

export default defineConfig({
    base: "./",
    esbuild: { jsx: "automatic", jsxImportSource: "preact" },
    build: {
        target: "es2020",
        modulePreload: { polyfill: false },
        assetsInlineLimit: 0,
        cssCodeSplit: false,
        rollupOptions: {
            output: {
                entryFileNames: "app.js",
                assetFileNames: (asset) => (asset.names.some((n) => n.endsWith(".css")) ? "app.css" : "[name][extname]"),
                inlineDynamicImports: true,
            },
        },
    },
    server: { proxy: { "/v1": process.env.FRESHET_URL ?? "http://127.0.0.1:8099" } },
});
