/**
 * Whether a configuration can belong to the file that holds it, checked before a model is built from it: a count is a few
 * bytes long, and the model that it describes may be of any size.
 */
import { UserError } from "../../core/errors.ts"
import { longestSequence } from "../../core/family/size-limits.ts"
import type { FastViTConfig, ImageTowerConfig, ModelConfig } from "../../core/family/variants.ts"

/** A transformer's block has 12 tensors; the smallest, a fused one of FastViT, has 9. */
const tensorsPerBlock = 9

/**
 * Throws UserError where the configuration has more blocks than the file has tensors for, heads that do not divide their
 * width, or attention over more tokens than any model has. All other sizes are those of tensors.
 *
 * @param tensors how many the file has
 * @param source its path, for messages
 */
export function checkConfig(config: ModelConfig, tensors: number, source: string): void {
  const blocks = blocksOf(config)
  if (blocks * tensorsPerBlock > tensors) {
    throw damaged(source, `its configuration has ${blocks} blocks, and the file ${tensors} tensors`)
  }
  for (const { width, heads } of attentionsOf(config)) {
    if (width % heads !== 0) throw damaged(source, `its configuration has ${heads} heads for a width of ${width}`)
  }
  const tokens = longestOf(config)
  if (tokens > longestSequence) {
    throw damaged(
      source,
      `its configuration has attention over ${tokens} tokens; at most ${longestSequence} are possible`,
    )
  }
}

function blocksOf(config: ModelConfig): number {
  const { image, text } = config
  const ofImage = image.kind === "fastvit" ? image.stages.reduce((sum, { depth }) => sum + depth, 0) : image.layers
  return ofImage + text.layers + ("decoder" in config ? config.decoder.layers : 0)
}

interface Heads {
  readonly width: number
  readonly heads: number
}

function attentionsOf(config: ModelConfig): Heads[] {
  const { image, text, embedDim: width } = config
  const towers = image.kind === "fastvit" ? [text] : [image, text]
  if (!("decoder" in config)) return towers
  return [...towers, { width, heads: config.pooler.heads }, { width: text.width, heads: config.decoder.heads }]
}

function longestOf(config: ModelConfig): number {
  const { image, imageSize, text } = config
  const queries = "decoder" in config ? config.pooler.queries : 0
  return Math.max(imageTokens(image, imageSize), text.contextLength, queries)
}

/** A convolutional stem makes patches of 16; FastViT's first stage has a token for 4 x 4 pixels, and each further for 4. */
function imageTokens(image: ImageTowerConfig, size: number): number {
  switch (image.kind) {
    case "vit":
      return 1 + Math.floor(size / image.patchSize) ** 2
    case "vit-conv-stem":
      return 1 + Math.floor(size / 16) ** 2
    case "fastvit":
      return attendedPixels(image, size)
    default:
      throw new Error(`unknown image tower ${image satisfies never}`)
  }
}

function attendedPixels({ stages }: FastViTConfig, size: number): number {
  const first = stages.findIndex(({ mixer }) => mixer === "attention")
  return first === -1 ? 0 : Math.ceil(size / 2 ** (first + 2)) ** 2
}

function damaged(source: string, what: string): UserError {
  return new UserError(
    `${source}: ${what}`,
    "the file is damaged: get it again, or write it again from its training run",
  )
}
