/**
 * JPEG files in Chromium, decoded by libjpeg in WebAssembly and by the browser: milliseconds (median of 5), the difference from
 * Node's pixels, and the lowest cosine of a model's vectors with those of Node's pixels.
 *
 *     npm run build && node dist/bench/browser-decode.js MODEL FOLDER
 */
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { median } from "../src/core/arrays/quantile.ts"
import { decodeImage } from "../src/host/image/images.ts"
import { MobileCLIP } from "../src/weights/clip-node.ts"
import { TestPage } from "../test/browser/open-page.ts"

const [model, folder] = process.argv.slice(2).map((path) => resolve(path))
if (!model || !folder) throw new Error("give a model directory and a folder of JPEG files")
const names = readdirSync(folder).filter((name) => /\.jpe?g$/i.test(name))

await using node = await MobileCLIP.load(model)
await using opened = await TestPage.open({ folders: { model, pictures: folder } })
await opened.page.evaluate(async () => {
  const loaded = ["exact", "browser"] as const
  for (const decode of loaded)
    mobileclip.models.set(decode, await mobileclip.MobileCLIP.load("model/", { device: "wasm", decode }))
})

for (const decode of ["exact", "browser"] as const) {
  const rows = []
  for (const name of names) rows.push(await compare(name, decode))
  const worst = Math.max(...rows.map(({ largest }) => largest))
  const cosine = Math.min(...rows.map((row) => row.cosine))
  const milliseconds = median(rows.map((row) => row.milliseconds))
  console.log(
    `${decode}: ${rows.length} files, ${milliseconds.toFixed(1)} ms each; pixels differ by ${worst} at most; cosine ${cosine.toFixed(6)}`,
  )
}

async function compare(name: string, decode: "exact" | "browser") {
  const expected = await decodeImage(join(folder!, name))
  const { pixels, milliseconds, vector } = await decodedInPage(name, decode)
  let largest = 0
  const found = Buffer.from(pixels, "base64")
  expected.data.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value - found[i]!))
  })
  const bytes = readFileSync(join(folder!, name))
  const [cosine] = node.similarity(Float32Array.from(vector), await node.encodeImage(bytes))
  return { largest, milliseconds, cosine: cosine! }
}

function decodedInPage(name: string, decode: "exact" | "browser") {
  return opened.page.evaluate(
    async ({ name, decode }) => {
      const file = await (await fetch(`pictures/${name}`)).blob()
      const jpeg = decode === "exact" ? new mobileclip.JpegDecoder("/worker/mozjpeg_dec.wasm") : null
      const how = { jpeg, orientation: "ignore", maxPixels: 1e8 } as const
      const times: number[] = []
      let data: Uint8Array | Uint8ClampedArray = new Uint8Array()
      for (let i = 0; i < 6; i++) {
        const start = performance.now()
        data = (await mobileclip.decodePicture({ kind: "file", name, file }, how)).data
        // The first one waits for the decoder.
        if (i > 0) times.push(performance.now() - start)
      }
      const reader = new FileReader()
      reader.readAsDataURL(new Blob([data as Uint8Array<ArrayBuffer>]))
      await new Promise((resolve) => reader.addEventListener("load", resolve))
      const vector = [...(await mobileclip.models.get(decode)!.encodeImage(file))]
      const pixels = (reader.result as string).split(",")[1]!
      return { pixels, vector, milliseconds: times.sort((a, b) => a - b)[2]! }
    },
    { name, decode },
  )
}
