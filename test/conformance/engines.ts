/** The runtimes, each by the way that a user takes. */
import type { Image8 } from "../../src/core/image/pixels.ts"
import { type Preprocessing, preprocess } from "../../src/core/image/preprocess.ts"
import { Tokenizer } from "../../src/core/text/tokenizer.ts"
import { ClipModel } from "../../src/run/clip.ts"
import type { ClipInfo } from "../../src/run/clip-host.ts"
import { TorchInterpreter } from "../../src/tensor/torch.ts"
import { TorchEncoder } from "../../src/tensor/torch-encoder.ts"
import { MobileCLIP } from "../../src/weights/clip-node.ts"
import type { TestPage } from "../browser/open-page.ts"
import { build, type ConformanceModel, labels, type Outputs, pictures, texts } from "./towers.ts"

/** The model as it was trained, not fused. */
export async function byLibtorch(model: ConformanceModel): Promise<Outputs> {
  const clip = build(model)
  const { preprocessing } = model.info
  const encoder = new TorchEncoder(clip, new TorchInterpreter(clip), { preprocessing })
  const { embedDim, contextLength } = encoder
  const logitScale = Math.exp(clip.logitScale.read()[0]!)
  const info = { name: "torch", embedDim, logitScale, contextLength, towers: "both", manifest: null } as ClipInfo
  const face = new ClipModel<Image8>({
    info: { ...info, preprocessing },
    encodeImages: (images) => encoder.encodeImages(images),
    encodeTexts: (all) => encoder.encodeTexts(all),
    caption: async () => [],
    dispose: async () => encoder.free(),
  })
  return outputsOf(face)
}

/** The exported files in `directory`. */
export async function byNode(directory: string): Promise<Outputs> {
  return outputsOf(await MobileCLIP.load(directory))
}

async function outputsOf(clip: ClipModel<Image8>): Promise<Outputs> {
  await using model = clip
  const { preprocessing, contextLength } = model.info
  const scores = await model.classify(pictures, labels)
  return {
    ...inputs(preprocessing, contextLength!),
    images: [...(await model.encodeImages(pictures))],
    texts: [...(await model.encodeTexts(texts))],
    scores: scores.map((row) => labels.map((label) => row.find((score) => score.label === label)!.score)),
  }
}

function inputs(preprocessing: Preprocessing, contextLength: number): Pick<Outputs, "pixels" | "tokens"> {
  return {
    pixels: pictures.map((picture) => [...preprocess(picture, preprocessing)]),
    tokens: Array.from(new Tokenizer().encodeBatch(texts, contextLength).ids, Number),
  }
}

export interface BrowserOutputs extends Outputs {
  readonly device: string
  readonly notes: readonly string[]
}

/** The same in a page, which has the exported files at `address`. */
export async function byPage({ page }: TestPage, address: string, device: "wasm" | "webgpu"): Promise<BrowserOutputs> {
  const given = pictures.map(({ width, height, data }) => ({ width, height, data: [...data] }))
  return page.evaluate(
    async ({ address, device, given, texts, labels }) => {
      const { MobileCLIP, Tokenizer, preprocess } = mobileclip
      const clip = await MobileCLIP.load(address, { device })
      const pictures = given.map(({ width, height, data }) => {
        return { width, height, channels: 3, data: Uint8Array.from(data) } as const
      })
      const scores = await clip.classify(pictures, labels)
      const { preprocessing, contextLength, notes } = clip.info
      const outputs = {
        ...{ notes, device: clip.info.device },
        pixels: pictures.map((picture) => [...preprocess(picture, preprocessing)]),
        tokens: Array.from(new Tokenizer().encodeBatch(texts, contextLength!).ids, Number),
        images: [...(await clip.encodeImages(pictures))],
        texts: [...(await clip.encodeTexts(texts))],
        scores: scores.map((row) => labels.map((label) => row.find((score) => score.label === label)!.score)),
      }
      await clip.dispose()
      return outputs
    },
    { address, device, given, texts, labels },
  )
}
