import { MobileCLIP } from "mobileclip"
import * as browser from "mobileclip/browser"
import { classify } from "./classify.js"

if (browser.MobileCLIP !== MobileCLIP) throw new Error(`"mobileclip" is not the browser's entry`)
// The worker and the .wasm files are not where the library looks for them: they are named.
window.classified = classify(MobileCLIP, {
  worker: () => new Worker(new URL("./workers/clip.js", import.meta.url), { type: "module" }),
  wasmPaths: { wasm: "./wasm/ort-wasm-simd-threaded.wasm", jpeg: "./wasm/mozjpeg_dec.wasm" },
})
