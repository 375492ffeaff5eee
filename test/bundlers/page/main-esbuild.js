import { MobileCLIP } from "mobileclip"
import * as browser from "mobileclip/browser"
import { classify } from "./classify.js"

if (browser.MobileCLIP !== MobileCLIP) throw new Error(`"mobileclip" is not the browser's entry`)
// esbuild takes no files along by their addresses: the worker and the .wasm files are named.
window.classified = classify(MobileCLIP, {
  worker: () => new Worker(new URL("./mobileclip-wasm.js", import.meta.url), { type: "module" }),
  wasmPaths: { wasm: "./ort-wasm-simd-threaded.wasm", jpeg: "./mozjpeg_dec.wasm" },
})
