/**
 * @huggingface/transformers on the same files, at its best: fp32 (its default type on the processor), its own threads, the
 * two towers alone, pictures of a batch read at the same time.
 */
import { readFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import {
  AutoProcessor,
  AutoTokenizer,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  env,
  RawImage,
} from "@huggingface/transformers"
import { l2Normalize } from "../../src/core/arrays/similarity.ts"
import { inParts, type Library } from "./library.ts"

const dtype = "fp32"

export async function openTheirs(folder: string): Promise<Library> {
  env.allowRemoteModels = false
  env.localModelPath = dirname(folder)
  const name = basename(folder)
  const [processor, vision, tokenizer, text] = await Promise.all([
    AutoProcessor.from_pretrained(name),
    CLIPVisionModelWithProjection.from_pretrained(name, { dtype }),
    AutoTokenizer.from_pretrained(name),
    CLIPTextModelWithProjection.from_pretrained(name, { dtype }),
  ])
  const { projection_dim: embedDim } = JSON.parse(await readFile(join(folder, "config.json"), "utf8"))
  const embedTexts = async (texts: readonly string[], padding: Padding) =>
    (await text(tokenizer([...texts], { padding, truncation: true }))).text_embeds.data as Float32Array
  const padding = await leastPadding(embedTexts, hasFreeLength(text))
  const padded = padding === true ? "the longest text of a batch" : "the full length"
  return {
    description: `@huggingface/transformers ${env.version}, fp32, its own number of threads, texts padded to ${padded}`,
    embedDim,
    encodeFiles: (files, batch) =>
      inParts(files, batch ?? files.length, embedDim, async (part) => {
        const images = await Promise.all(part.map((file) => RawImage.read(file)))
        const { image_embeds } = await vision(await processor(images))
        return l2Normalize(image_embeds.data, embedDim)
      }),
    encodeTexts: (texts, batch) =>
      inParts(texts, batch ?? texts.length, embedDim, async (part) =>
        l2Normalize(await embedTexts(part, padding), embedDim),
      ),
    async close() {
      await Promise.all([vision.dispose(), text.dispose()])
    },
  }
}

type Padding = true | "max_length"

/** To the longest text of a batch, where the files take that and it gives the same vectors: most of its users' way. */
async function leastPadding(
  embed: (texts: readonly string[], padding: Padding) => Promise<Float32Array>,
  takesAnyLength: boolean,
): Promise<Padding> {
  if (!takesAnyLength) return "max_length"
  const texts = ["a cat", "a photo of two dogs"]
  const [full, short] = [await embed(texts, "max_length"), await embed(texts, true)]
  return short.every((value, i) => Math.abs(value - full[i]!) < 1e-3) ? true : "max_length"
}

/** Whether the tokens' dimension has a name in place of a number. */
function hasFreeLength({ sessions }: CLIPTextModelWithProjection): boolean {
  const [input] = Object.values(sessions)[0].inputMetadata
  return typeof input.shape[1] !== "number"
}
