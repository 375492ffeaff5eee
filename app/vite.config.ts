/** The page, built into dist/app: static files that work below any path of any host, and offline after the first visit. */
import { fileURLToPath } from "node:url"
import preact from "@preact/preset-vite"
import { defineConfig, type Rollup } from "vite"
import { VitePWA } from "vite-plugin-pwa"
import { licences } from "./licences.ts"

/** Packages have comments that the bundler does not understand, and says so many times. */
const rollupOptions: Rollup.RollupOptions = {
  onwarn: (warning, warn) => {
    if (warning.code !== "INVALID_ANNOTATION") warn(warning)
  },
}

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  root: at("."),
  base: "./",
  resolve: { alias: { "mobileclip/browser": at("../dist/src/browser/index.js") } },
  worker: { format: "es", rollupOptions, plugins: () => [licences("worker")] },
  build: {
    outDir: at("../dist/app"),
    emptyOutDir: true,
    target: "es2022",
    // Files, not texts in the script: a strict policy allows no data: for code.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 3000,
    reportCompressedSize: false,
    rollupOptions,
  },
  plugins: [
    licences("page"),
    preact({ devToolsEnabled: false, prefreshEnabled: false, reactAliasesEnabled: false }),
    VitePWA({
      strategies: "injectManifest",
      srcDir: "src/offline",
      filename: "service-worker.ts",
      injectRegister: false,
      injectManifest: {
        globPatterns: ["**/*.{html,js,css,svg,png,jpg,webmanifest}", "assets/*.wasm"],
        maximumFileSizeToCacheInBytes: 2 ** 26,
      },
      manifest: {
        name: "mobileclip",
        short_name: "mobileclip",
        description: "Pictures and words compared in your browser: label, search, teach. Nothing is uploaded.",
        start_url: "./",
        scope: "./",
        display: "standalone",
        background_color: "#ffffff",
        theme_color: "#1f5f8b",
        icons: [{ src: "icon.svg", sizes: "any", type: "image/svg+xml", purpose: "any" }],
      },
    }),
  ],
})
