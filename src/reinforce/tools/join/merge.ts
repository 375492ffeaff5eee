/** One sample of what two shard sets say of it: picture and captions from one, teachers' knowledge from the other. */
import { createHash } from "node:crypto"
import { isDeepStrictEqual } from "node:util"
import { UserError } from "../../../core/errors.ts"
import { embeddingExtensions } from "../../../data/reinforced/embeddings.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"

/**
 * The key is the reinforcement's. What both have is the reinforcement's, but for picture and captions. Throws UserError
 * where both are reinforced in a way that does not go together.
 */
export function mergeSamples(image: ReinforcedSample, reinforcement: ReinforcedSample): ReinforcedSample {
  requireOneViews(image, reinforcement)
  return {
    key: reinforcement.key,
    image: image.image,
    url: reinforcement.url ?? image.url,
    // Rows of text_emb are of the reinforcement's captions; the released shards hold none.
    texts: reinforcement.texts.length > 0 ? reinforcement.texts : image.texts,
    synTexts: new Map([...image.synTexts, ...reinforcement.synTexts]),
    paramAug: reinforcement.paramAug ?? image.paramAug,
    embeddings: new Map([...image.embeddings, ...reinforcement.embeddings]),
    fields: { ...image.fields, ...reinforcement.fields },
    others: new Map([...image.others, ...reinforcement.others]),
  }
}

/** Throws UserError where the picture is not the one that was reinforced, as far as its `sha256` says. */
export function requireSamePicture({ image }: ReinforcedSample, { fields, image: own }: ReinforcedSample): void {
  if (!image) throw new UserError("it has no picture")
  const expected = own ? sha256(own.bytes) : fields.sha256
  if (typeof expected !== "string" || !/^[0-9a-f]{64}$/i.test(expected)) return
  if (sha256(image.bytes) === expected.toLowerCase()) return
  throw new UserError("the picture is not the one that was reinforced: it has another sha256")
}

/** An embedding is of certain views, so two sets of embeddings go together where the views are the same. */
function requireOneViews(image: ReinforcedSample, reinforcement: ReinforcedSample): void {
  const { paramAug } = image
  if (paramAug && reinforcement.paramAug && !isDeepStrictEqual(paramAug, reinforcement.paramAug)) {
    throw new UserError("both sides have param_aug, and not the same")
  }
  const isPacked = Object.values(embeddingExtensions).some((extension) => reinforcement.others.has(extension))
  if (isPacked && image.embeddings.size > 0) {
    throw new UserError("both sides have embeddings: choose how they are stored together, for example --bfloat16")
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}
