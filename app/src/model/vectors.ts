/** Vectors of pictures by the model that is open: known from before by their contents, else encoded and kept. */
import { digestOf, keep, kept } from "../shared/database.ts"
import { isAbort, pictureError, told } from "../shared/words.ts"
import { isClosed, type Ready } from "./state.ts"

export type Encoded =
  | {
      /** [embedDim], of unit length. */
      readonly vector: Float32Array
      readonly isKnown: boolean
      /** Why the next visit does not know it. */
      readonly notKept: string | null
    }
  | { readonly reason: string }

const digests = new WeakMap<Blob, Promise<string | null>>()

/** One for each file. Throws where the model was closed meanwhile. */
export async function encodeKept(files: readonly File[], model: Ready): Promise<Encoded[]> {
  const known = await Promise.all(files.map((file) => find(file, model)))
  const missing = files.filter((_, i) => known[i] === null)
  const made = (await encode(missing, model)).values()
  return known.map((one) => one ?? made.next().value!)
}

async function find(file: File, model: Ready): Promise<Encoded | null> {
  try {
    const key = await keyOf(file, model)
    const vector = key === null ? undefined : await kept<Float32Array>("vectors", key)
    return vector?.length === model.clip.embedDim ? { vector, isKnown: true, notKept: null } : null
  } catch (error) {
    return { reason: told(error).what }
  }
}

/** One that cannot be read fails its batch: then each is tried by itself. */
async function encode(files: readonly File[], model: Ready): Promise<Encoded[]> {
  if (files.length === 0) return []
  const { clip } = model
  try {
    const rows = await clip.encodeImages(files)
    const vectors = files.map((_, i) => rows.slice(i * clip.embedDim, (i + 1) * clip.embedDim))
    return Promise.all(vectors.map((vector, i) => remember(files[i]!, vector, model)))
  } catch (error) {
    if (isAbort(error) || isClosed(model)) throw error
    if (files.length === 1) return [{ reason: reasonOf(pictureError(error, files[0]!)) }]
    const each: Encoded[] = []
    for (const file of files) each.push(...(await encode([file], model)))
    return each
  }
}

function reasonOf(error: unknown): string {
  const { what, todo } = told(error)
  return todo ? `${what}: ${todo}` : what
}

async function remember(file: File, vector: Float32Array, model: Ready): Promise<Encoded> {
  const key = await keyOf(file, model)
  if (key === null) return { vector, isKnown: false, notKept: "a page without https keeps none" }
  const isKept = await keep("vectors", key, vector)
  return { vector, isKnown: false, notKept: isKept ? null : "this browser has no room for them, or forbids it" }
}

async function keyOf(file: File, { key }: Ready): Promise<string | null> {
  if (!digests.has(file)) digests.set(file, digestOf(file))
  const digest = await digests.get(file)!
  return digest && `${digest} ${key}`
}
