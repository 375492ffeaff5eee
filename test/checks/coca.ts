/**
 * The captioner of a CoCa file: image tokens, logits by the plain definition, the caption loss, and greedy captions,
 * made token by token with kept keys and values, in both engines.
 */
import { type InferenceSession, Tensor as OrtTensor } from "onnxruntime-node"
import { inputImage } from "../../src/core/arrays/fill.ts"
import type { CaptionDecoder } from "../../src/core/inference/caption-decoder.ts"
import type { Coca } from "../../src/model/coca.ts"
import { generate } from "../../src/run/caption/generate.ts"
import { traceOnnx } from "../../src/tensor/onnx.ts"
import { hostValues, TorchInterpreter } from "../../src/tensor/torch.ts"
import * as torch from "../../torch/index.ts"
import { type Check, mismatches } from "./check.ts"
import { int64, openSession } from "./engines.ts"
import type { GoldenModel } from "./models.ts"
import * as tolerances from "./tolerances.ts"

type Rows = readonly (readonly number[])[]

interface GoldenLogits {
  readonly logits_shape: readonly number[]
  readonly argmax: Rows
  readonly logsumexp: Rows
  readonly last_position_first16: Rows
}

interface Greedy {
  readonly tokens: Rows
  readonly min_seq_len: number
}

export interface GoldenCoca {
  readonly image_embs: {
    readonly shape: readonly number[]
    std: number
    first8: readonly number[]
    last8: readonly number[]
  }
  readonly prefix: GoldenLogits & { readonly tokens: Rows; readonly summary?: { readonly std: number } }
  readonly full: GoldenLogits & { readonly eot_position: readonly number[]; readonly eot_position_first16: Rows }
  readonly train_style: { readonly caption_cross_entropy_ignore_pad0: number }
  readonly [greedy: `greedy_seq_len_${number}`]: Greedy
}

interface Values {
  readonly data: Float32Array
  readonly shape: readonly number[]
}

/** One engine's captioner. Ids and results are row-major. */
interface Captioner {
  readonly name: string
  image(): Promise<Values>
  logits(ids: Rows): Promise<Values>
  /** One more token for each row. */
  step(ids: readonly number[], cache: Values | null): Promise<{ readonly logits: Values; readonly cache: Values }>
  release(): Promise<void>
}

export async function* checkCoca(model: Coca, golden: GoldenModel): AsyncIterable<Check> {
  for (const open of [torchCaptioner, onnxCaptioner]) {
    const captioner = await open(model, golden.input.image_shape[0]!)
    for await (const check of checkCaptioner(captioner, golden))
      yield { ...check, what: `${check.what}, ${captioner.name}` }
    await captioner.release()
  }
}

async function* checkCaptioner(captioner: Captioner, golden: GoldenModel): AsyncIterable<Check> {
  const { image_embs, prefix, full, train_style, ...greedy } = golden.coca!
  const image = await captioner.image()
  const ends = [...image.data.slice(0, 8), ...image.data.slice(-8)]
  yield relative("image tokens, ends, in stds", ends, [...image_embs.first8, ...image_embs.last8], image_embs.std)
  yield mismatches("shape of image tokens", Number(String(image.shape) !== String(image_embs.shape)))
  const std = standardDeviation((await captioner.logits(prefix.tokens)).data)
  yield* checkLogits("prefix", await captioner.logits(prefix.tokens), prefix, std)
  const tokens = golden.input.tokens
  const whole = await captioner.logits(tokens)
  yield* checkLogits("padded text", whole, full, std, full.eot_position)
  const crossEntropy = captionLoss(whole, tokens)
  const expected = train_style.caption_cross_entropy_ignore_pad0
  yield { what: "caption loss", error: Math.abs(crossEntropy - expected), tolerance: tolerances.captionLoss }
  for (const [name, { tokens: captions, min_seq_len }] of Object.entries(greedy as Record<string, Greedy>)) {
    const options = { generationType: "greedy", seqLen: captions[0]!.length, minSeqLen: min_seq_len } as const
    const ours = await generate(decoderOf(captioner), captions.map(Number), { ...options, fixedOutputLength: true })
    yield mismatches(`${name}, ids`, captions.flat().filter((id, i) => id !== ours.flat()[i]).length)
  }
}

/** Positions after `ends` see padding, and the references differ there. */
function* checkLogits(
  name: string,
  { data, shape }: Values,
  golden: GoldenLogits,
  std: number,
  ends?: readonly number[],
): Iterable<Check> {
  yield mismatches(`shape of the logits of the ${name}`, Number(String(shape) !== String(golden.logits_shape)))
  const [, length, vocabulary] = shape as [number, number, number]
  let [wrong, worst] = [0, 0]
  golden.argmax.forEach((row, n) => {
    row.slice(0, (ends?.[n] ?? length) + 1).forEach((id, l) => {
      const logits = data.subarray((n * length + l) * vocabulary, (n * length + l + 1) * vocabulary)
      if (argmax(logits) !== id) wrong += 1
      worst = Math.max(worst, Math.abs(logSumExp(logits) - golden.logsumexp[n]![l]!) / std)
    })
  })
  yield mismatches(`most likely tokens of the ${name}`, wrong)
  yield { what: `log-sum-exp of the ${name}, in stds`, error: worst, tolerance: tolerances.logSumExp }
  const positions = ends ?? golden.argmax.map(() => length - 1)
  const ours = positions.flatMap((l, n) => [...data.subarray((n * length + l) * vocabulary).slice(0, 16)])
  const expected =
    "eot_position_first16" in golden ? (golden.eot_position_first16 as Rows) : golden.last_position_first16
  yield relative(`logits of the ${name}, in stds`, ours, expected.flat(), std)
}

/** Mean over labels that are not padding of -log softmax(logits)[label]; labels are the tokens one further. */
function captionLoss({ data, shape }: Values, tokens: Rows): number {
  const [, length, vocabulary] = shape as [number, number, number]
  const losses = tokens.flatMap((row, n) =>
    row.slice(1).flatMap((label, l) => {
      const logits = data.subarray((n * length + l) * vocabulary, (n * length + l + 1) * vocabulary)
      return label === 0 ? [] : [logSumExp(logits) - logits[label]!]
    }),
  )
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

/** All rows go on to the end together: the engines here keep no rows apart. */
function decoderOf(captioner: Captioner): CaptionDecoder {
  let cache: Values | null = null
  return {
    vocabSize: 49408,
    contextLength: 76,
    async step(tokens, parents) {
      if (parents?.some((row, i) => row !== i)) throw new Error("a golden caption ends before the others")
      const result = await captioner.step(tokens, cache)
      cache = result.cache
      return result.logits.data
    },
  }
}

// -------------------------------------------------------------------------------------------------------- engines

async function torchCaptioner(model: Coca, batch: number): Promise<Captioner> {
  const interpreter = new TorchInterpreter(model)
  const size = model.config.imageSize
  const values = (tensor: torch.Tensor): Values => ({ data: hostValues(tensor), shape: [...tensor.shape] })
  const compute = <T>(body: () => T) => torch.scope(() => torch.noGrad(body))
  const wrap = ({ data, shape }: Values) => interpreter.images(data, shape)
  const image = compute(() =>
    values(
      interpreter.unwrap(
        model.image.forward(interpreter.images(inputImage(size, batch), [batch, 3, size, size])).tokens,
      ),
    ),
  )
  const memory = compute(() => values(interpreter.unwrap(model.imageMemory(wrap(image)))))
  return {
    name: "libtorch",
    image: async () => image,
    logits: async (ids) =>
      compute(() =>
        values(
          interpreter.unwrap(model.logits(interpreter.tokens(int64(ids), [ids.length, ids[0]!.length]), wrap(image))),
        ),
      ),
    step: async (ids, cache) =>
      compute(() => {
        const past = cache ?? emptyCache(model, ids.length)
        const token = interpreter.tokens(BigInt64Array.from(ids, BigInt), [ids.length, 1])
        const next = model.step(token, wrap(past), wrap(memory))
        return { logits: values(interpreter.unwrap(next.logits)), cache: values(interpreter.unwrap(next.cache)) }
      }),
    release: async () => interpreter.free(),
  }
}

async function onnxCaptioner(model: Coca, batch: number): Promise<Captioner> {
  const { imageSize: size, pooler, text } = model.config
  const parameters = model.namedParameters()
  const tokens = pooler.queries - 1
  const imageTokens = { dtype: "float32", shape: [-1, tokens, text.width] } as const
  const encoder = await openSession(
    traceOnnx(
      { name: "vision", parameters, inputs: { pixels: { dtype: "float32", shape: [-1, 3, size, size] } } },
      (pixels) => {
        const image = model.image.forward(pixels!).tokens
        return { image, memory: model.imageMemory(image) }
      },
    ),
  )
  const step = await openSession(
    traceOnnx(
      {
        name: "step",
        parameters,
        inputs: {
          id: { dtype: "int64", shape: [-1, 1] },
          past: { dtype: "float32", shape: [-1, -1, model.cacheWidth] },
          memory: { dtype: "float32", shape: [-1, tokens, model.memoryWidth] },
        },
      },
      (id, past, memory) => ({ ...model.step(id!, past!, memory!) }),
    ),
  )
  const sessions: InferenceSession[] = [encoder, step]
  const encoded = await encoder.run({ pixels: ort({ data: inputImage(size, batch), shape: [batch, 3, size, size] }) })
  const image = valuesOf(encoded.image!)
  return {
    name: "ONNX Runtime",
    image: async () => image,
    async logits(ids) {
      const length = ids[0]!.length
      const plain = await openSession(
        traceOnnx(
          { name: "plain", parameters, inputs: { ids: { dtype: "int64", shape: [-1, length] }, image: imageTokens } },
          (x, y) => ({ logits: model.logits(x!, y!) }),
        ),
      )
      const { logits } = await plain.run({
        ids: new OrtTensor("int64", int64(ids), [ids.length, length]),
        image: ort(image),
      })
      const values = valuesOf(logits!)
      await plain.release()
      return values
    },
    async step(ids, cache) {
      const results = await step.run({
        id: new OrtTensor("int64", BigInt64Array.from(ids, BigInt), [ids.length, 1]),
        past: ort(cache ?? emptyCache(model, ids.length)),
        memory: encoded.memory!,
      })
      return { logits: valuesOf(results.logits!), cache: valuesOf(results.cache!) }
    },
    async release() {
      for (const session of sessions) await session.release()
    },
  }
}

function emptyCache(model: Coca, rows: number): Values {
  return { data: new Float32Array(0), shape: [rows, 0, model.cacheWidth] }
}

function ort({ data, shape }: Values): OrtTensor {
  return new OrtTensor("float32", data, shape)
}

function valuesOf(tensor: OrtTensor): Values {
  return { data: Float32Array.from(tensor.data as Float32Array), shape: tensor.dims }
}

// ------------------------------------------------------------------------------------------------------- numbers

function relative(what: string, ours: readonly number[], expected: readonly number[], std: number): Check {
  const error = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - ours[i]!)), 0) / std
  return { what, error: ours.every(Number.isFinite) ? error : Number.POSITIVE_INFINITY, tolerance: tolerances.features }
}

function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}

function logSumExp(values: Float32Array): number {
  let [max, sum] = [Number.NEGATIVE_INFINITY, 0]
  for (const value of values) max = Math.max(max, value)
  for (const value of values) sum += Math.exp(value - max)
  return max + Math.log(sum)
}

function standardDeviation(values: Float32Array): number {
  let [sum, squares] = [0, 0]
  for (const value of values) {
    sum += value
    squares += value * value
  }
  return Math.sqrt(squares / values.length - (sum / values.length) ** 2)
}
