/**
 * The process that computes a model for a server. Pictures go through threads that each have an image tower (`tower-threads.ts`),
 * texts through one tower on all threads. Where the model's tower cannot be opened in threads, pictures are computed one by one.
 */
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { toMessage } from "../../core/error-message.ts"
import { asUserError, isInputError } from "../../core/errors.ts"
import { decodeImage } from "../../host/image/images.ts"
import { pictureFormat } from "../../host/image/picture-format.ts"
import { pictureSize } from "../../host/image/picture-size.ts"
import { type Course, chooseCourse } from "../../pictures/course.ts"
import { encodeFiles, type PixelOptions } from "../../pictures/encode-files.ts"
import { KeptTowers } from "../../pictures/kept-towers.ts"
import { pixelOptions } from "../../pictures/reading.ts"
import type { Captioner } from "../../run/caption/captioner.ts"
import type { Model } from "../../run/model.ts"
import { loadCaptioner, loadModel } from "../../run/node.ts"
import type { TowerPlace } from "../../run/tower.ts"
import { modelDirectory } from "../../weights/model-directory.ts"
import { serveParent, type Work } from "../processes/serve-parent.ts"
import { ModelFiles } from "./model-files.ts"
import type { ModelAnswer, ModelRequest, ModelSettings, ServedModel } from "./model-work.ts"
import { PixelBudget } from "./pixel-budget.ts"

serveParent<ModelSettings, ServedModel, ModelRequest, ModelAnswer>(openModel)

async function openModel(settings: ModelSettings): Promise<Work<ServedModel, ModelRequest, ModelAnswer>> {
  const { threads, maxPixels } = settings
  const directory = await modelDirectory(settings.model)
  const files = ModelFiles.in(directory)
  const model = await loadModel(directory, { threads })
  const decode = pixelOptions(settings, maxPixels)
  const encodePicture = inTurns(pictureEncoder(model, decode, threads), maxPixels)
  let captioner: Promise<Captioner> | null = null
  const captions = async (bytes: Uint8Array, perImage: number) => {
    captioner ??= loadCaptioner(directory, { threads })
    const image = await decodeImage(bytes, { ...decode, name: "the picture" })
    return (await captioner).caption([image], { perImage })
  }
  return {
    description: { ...describe(model, encodePicture.slots), files: files.identity },
    do: async (task) => {
      const answer = answerOf(async () => {
        if (task.kind === "texts") return vectors(model, await model.encodeTexts(task.texts))
        if (task.kind === "picture") return vectors(model, await encodePicture.encode(task.bytes))
        return { kind: "captions", captions: (await captions(task.bytes, task.perImage))[0]! }
      })
      await answer.catch(() => {})
      // Towers are read when they are first used, so what was computed may be another model's, or have failed by that.
      return task.files === files.identity && files.areUnchanged ? answer : { kind: "changed" }
    },
  }
}

function describe(model: Model, pictureSlots: number): Omit<ServedModel, "files"> {
  const { name, embedDim, logitScale, manifest, contextLength, preprocessing } = model
  return {
    ...{ name, embedDim, logitScale, contextLength, preprocessing, pictureSlots },
    license: manifest?.license ?? null,
    hasCaptions: manifest?.decoder != null,
  }
}

function vectors({ embedDim }: Model, rows: Float32Array): ModelAnswer {
  return { kind: "vectors", vectors: l2Normalize(rows, embedDim) }
}

/** What is wrong with one picture is an answer, and no fault of the process. */
async function answerOf(work: () => Promise<ModelAnswer>): Promise<ModelAnswer> {
  try {
    return await work()
  } catch (error) {
    if (!isInputError(error)) throw error
    return { kind: "refused", error: toMessage(asUserError(error)) }
  }
}

interface PictureEncoder {
  /** Pictures at a time: a thread computes one and has the next. */
  readonly slots: number
  encode(bytes: Uint8Array): Promise<Float32Array>
}

const name = "the picture"

/** Pixels that a slot may have without waiting: a photograph's. */
const photograph = 12e6

/** JPEG files are resized as their rows come; others are unfolded as a whole. */
function inTurns({ slots, encode }: PictureEncoder, mostPixels: number): PictureEncoder {
  const budget = new PixelBudget(Math.max(mostPixels, slots * photograph))
  return {
    slots,
    encode: async (bytes) =>
      pictureFormat(bytes) === "jpg" ? encode(bytes) : budget.use(await pixelsOf(bytes), () => encode(bytes)),
  }
}

/** None where they cannot be told: then it is refused before it is unfolded. */
async function pixelsOf(bytes: Uint8Array): Promise<number> {
  const { width, height } = await pictureSize(bytes, name).catch(() => ({ width: 0, height: 0 }))
  return width * height
}

/** Milliseconds: opening towers takes as long as a dozen pictures, for which somebody would wait. */
const idleTowers = 600_000

function pictureEncoder(model: Model, decode: PixelOptions, threads: number): PictureEncoder {
  const { place } = model
  const course = chooseCourse([place], { threads, isFew: false })
  return course.kind === "threads" && place ? inThreads(model, place, decode, course) : oneByOne(model, decode)
}

function oneByOne(model: Model, decode: PixelOptions): PictureEncoder {
  const encode = async (bytes: Uint8Array) => {
    for await (const [found] of encodeFiles([{ name, bytes }], [model], { decode, threads: 0 })) {
      if ("error" in found!) throw found.error
      return found!.vectors[0]!
    }
    throw new Error("a picture without an answer")
  }
  return { slots: 1, encode }
}

function inThreads(
  { preprocessing, embedDim }: Model,
  place: TowerPlace,
  decode: PixelOptions,
  course: Course,
): PictureEncoder {
  const kept = new KeptTowers(idleTowers)
  const settings = { towers: [{ place, preprocessing, embedDim }], batchSize: course.batchSize, options: decode }
  return {
    slots: 2 * course.threads,
    async encode(bytes) {
      await using used = kept.use(settings, course.threads)
      const [found] = await used.pool.encode([{ name, bytes }])
      if (found instanceof Error) throw found
      return found!.vectors[0]!
    },
  }
}
