/** This library, as a program uses it; what depends on its interface is here. And its two stages alone, for the overlap. */
import { l2Normalize } from "../../src/core/arrays/similarity.ts"
import { version } from "../../src/host/version.ts"
import { encodeFiles, type PixelEncoder } from "../../src/pictures/encode-files.ts"
import type { Model } from "../../src/run/model.ts"
import { loadModel } from "../../src/run/node.ts"
import { MobileCLIP } from "../../src/weights/clip-node.ts"
import { type Batch, inParts, type Library } from "./library.ts"

export async function openOurs(folder: string): Promise<Library> {
  const clip = await MobileCLIP.load(folder)
  const { embedDim, info } = clip
  return {
    description: `mobileclip ${version()}, ${info.runtime}, fp32, ${info.threads} threads`,
    embedDim,
    encodeFiles: (files, batch) => inParts(files, batch ?? files.length, embedDim, (part) => clip.encodeImages(part)),
    encodeTexts: (texts, batch) => inParts(texts, batch ?? texts.length, embedDim, (part) => clip.encodeTexts(part)),
    close: () => clip.dispose(),
  }
}

/** What a search does that starts: one text, with nothing else loaded. */
export async function embedText(folder: string, text: string): Promise<Float32Array> {
  await using clip = await MobileCLIP.load(folder, { towers: "text" })
  return clip.encodeText(text)
}

/** The tower on pixels that lie ready, as many of them as there are files. */
export async function openTowerAlone(folder: string): Promise<Library> {
  const model = await loadModel(folder)
  const { embedDim } = model
  return {
    ...stage("the image tower on pixels that lie ready", model),
    embedDim,
    encodeFiles: (files, batch) => {
      const size = batch ?? ownBatch
      const pixels = new Float32Array(size * 3 * model.preprocessing.size ** 2).fill(0.5)
      return inParts(files, size, embedDim, (part) =>
        model.encodePixels(pixels.subarray(0, part.length * (pixels.length / size)), part.length),
      )
    },
  }
}

/** Everything but the tower. */
export async function openDecodeAlone(folder: string): Promise<Library> {
  const model = await loadModel(folder)
  const { name, preprocessing } = model
  const encoder: PixelEncoder = {
    ...{ name, preprocessing, embedDim: 1 },
    encodePixels: async (_, count) => new Float32Array(count).fill(1),
  }
  return {
    ...stage("decoding, resizing and normalising, without the tower", model),
    embedDim: 1,
    encodeFiles: (files, batch) => filesTo(encoder, files, batch),
  }
}

/** Pictures in a run of the tower alone where none is said. */
const ownBatch = 8

function stage(description: string, model: Model): Omit<Library, "embedDim" | "encodeFiles"> {
  return {
    description,
    encodeTexts: () => Promise.reject(new Error(`${description}: it takes no texts`)),
    close: () => model.dispose(),
  }
}

/** One call for each part, where a size is given; else the library's own batches. */
function filesTo(encoder: PixelEncoder, files: readonly string[], batch: Batch): Promise<Float32Array> {
  const { embedDim } = encoder
  return inParts(files, batch ?? files.length, embedDim, async (part) => {
    const rows = new Float32Array(part.length * embedDim)
    let next = 0
    for await (const encoded of encodeFiles(part, [encoder], batch === null ? {} : { batchSize: batch })) {
      for (const file of encoded) {
        if ("error" in file) throw file.error
        rows.set(file.vectors[0]!, next++ * embedDim)
      }
    }
    return l2Normalize(rows, embedDim)
  })
}
