/** The same models in float32 and in bfloat16 on the processor: how far their vectors are apart, and what they take. */
import type { Teacher } from "../core/inference/teacher.ts"
import { compareRows } from "../export/verify.ts"
import { fixedInput, selfTestTexts } from "../run/self-test.ts"
import type { ModelSource } from "./model-source.ts"
import type { RuntimeOptions } from "./runtime.ts"
import { openTeachers } from "./teachers.ts"

export interface Comparison {
  /** The lowest of all models, of pictures as of texts; 0 where a vector has values that are not numbers. */
  readonly cosine: number
  /** Time of a picture through all models. */
  readonly milliseconds: { readonly float32: number; readonly bfloat16: number }
}

/** Pictures at a time: enough for the rate of larger batches, and soon done. */
const BATCH = 4
/** A measurement ends after the turn in which this many milliseconds are over, and after so many turns. */
const longest = 1500
const mostTurns = 5

/**
 * Runs each model on the self-test's pictures and texts, and measures a batch in turn: float32 on the runtime that was
 * asked for, else on ONNX Runtime, and bfloat16 on libtorch.
 *
 * @throws UserError where a model cannot be opened, or libtorch is not there
 */
export async function comparePrecisions(
  sources: readonly ModelSource[],
  options: Omit<RuntimeOptions, "dtype">,
): Promise<Comparison> {
  const { runtime = "onnxruntime" } = options
  const rounded = await openTeachers(sources, { ...options, runtime: "libtorch", dtype: "bf16" })
  await using _ = disposing(rounded)
  const exact = await openTeachers(sources, { ...options, runtime, dtype: "fp32" })
  await using __ = disposing(exact)
  const compared: Comparison[] = []
  for (const [i, teacher] of exact.entries()) compared.push(await compareTeachers(teacher, rounded[i]!))
  return sumOf(compared)
}

function disposing(teachers: readonly Teacher[]): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(teachers.map((teacher) => teacher[Symbol.asyncDispose]()))
    },
  }
}

async function compareTeachers(exact: Teacher, rounded: Teacher): Promise<Comparison> {
  return { cosine: await cosineOf(exact, rounded), milliseconds: await timesOf(exact, rounded) }
}

async function cosineOf(exact: Teacher, rounded: Teacher): Promise<number> {
  const pixels = fixedPixels(exact, selfTestTexts.length)
  const images = compareRows(
    await rounded.encodePixels(pixels, selfTestTexts.length),
    await exact.encodePixels(pixels, selfTestTexts.length),
    exact.embedDim,
  )
  const texts = compareRows(
    await rounded.encodeTexts(selfTestTexts),
    await exact.encodeTexts(selfTestTexts),
    exact.embedDim,
  )
  const cosine = Math.min(images.cosine, texts.cosine)
  return Number.isNaN(cosine) ? 0 : cosine
}

function fixedPixels({ preprocessing }: Teacher, batch: number): Float32Array {
  return fixedInput("image", { imageSize: preprocessing.size, contextLength: 0 }, batch).data as Float32Array
}

/** The fastest of the batches of each, which take turns. */
async function timesOf(exact: Teacher, rounded: Teacher): Promise<Comparison["milliseconds"]> {
  const pixels = fixedPixels(exact, BATCH)
  const fastest = { float32: Number.POSITIVE_INFINITY, bfloat16: Number.POSITIVE_INFINITY }
  const started = performance.now()
  for (let turn = 0; turn < mostTurns && (turn === 0 || performance.now() - started < longest); turn++) {
    fastest.float32 = Math.min(fastest.float32, await turnOf(exact, pixels))
    fastest.bfloat16 = Math.min(fastest.bfloat16, await turnOf(rounded, pixels))
  }
  return fastest
}

/** Milliseconds a picture. The batch before is not counted: the threads of the other runtime are still awake then. */
async function turnOf(teacher: Teacher, pixels: Float32Array): Promise<number> {
  await teacher.encodePixels(pixels, BATCH)
  const from = performance.now()
  await teacher.encodePixels(pixels, BATCH)
  return (performance.now() - from) / BATCH
}

function sumOf(compared: readonly Comparison[]): Comparison {
  const sum = (type: keyof Comparison["milliseconds"]) =>
    compared.reduce((total, { milliseconds }) => total + milliseconds[type], 0)
  return {
    cosine: Math.min(...compared.map(({ cosine }) => cosine)),
    milliseconds: { float32: sum("float32"), bfloat16: sum("bfloat16") },
  }
}
