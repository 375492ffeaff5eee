import { classify } from "./classify.js"

// esbuild takes no files along by their addresses: the worker and the .wasm files are named.
window.classified = classify({
  worker: () => new Worker(new URL("./mobileclip-wasm.js", import.meta.url), { type: "module" }),
  wasmPaths: { wasm: "./ort-wasm-simd-threaded.wasm", jpeg: "./mozjpeg_dec.wasm" },
})
