/**
 * Deterministic values from names: the rule by which the golden model files fill every weight, so that outputs of
 * other implementations can be compared without shipping weights.
 */
import { assert } from "../errors.ts"
import { fnv1a } from "./random.ts"

/** 32 well-mixed bits of (seed, i). */
export function hash(seed: number, i: number): number {
  let x = (seed + Math.imul(i, 0x9e3779b9)) | 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** Element `i` of the uniform numbers in [-1, 1) that belong to `name`; exact in float64. */
export function u(name: string, i: number): number {
  return uniform(fnv1a(name), i)
}

interface Filled {
  /** Number of the rule that applied, 1 to 10. */
  readonly rule: number
  readonly values: Float32Array
}

/** The values of a state-dict entry of an untransformed (train-time) model, row-major. */
export function fill(key: string, shape: readonly number[]): Filled {
  const { rule, base, spread } = ruleOf(key, shape)
  const values = new Float32Array(product(shape))
  if (spread === 0) return { rule, values: values.fill(base) }
  const seed = fnv1a(key)
  for (let i = 0; i < values.length; i++) values[i] = base + spread * uniform(seed, i)
  return { rule, values }
}

/** The image batch of the golden model files: [batch, 3, resolution, resolution], in 0..1. */
export function inputImage(resolution: number, batch = 2): Float32Array {
  const seed = fnv1a("input.image")
  const values = new Float32Array(batch * 3 * resolution * resolution)
  for (let i = 0; i < values.length; i++) values[i] = (uniform(seed, i) + 1) / 2
  return values
}

interface Rule {
  readonly rule: number
  /** Values are base + spread * u. */
  readonly base: number
  readonly spread: number
}

const vocabularySize = 49408
const embeddings = ["pos_embed", "positional_embedding", "class_embedding", "cls_token", "cls_emb", "query"]

/** The first rule that fits wins. */
function ruleOf(key: string, shape: readonly number[]): Rule {
  const isWeight = key.endsWith("weight")
  if (key.endsWith("num_batches_tracked")) return { rule: 1, base: 0, spread: 0 }
  if (key.endsWith("running_mean")) return { rule: 2, base: 0, spread: 0.1 }
  if (key.endsWith("running_var")) return { rule: 3, base: 1, spread: 0.5 }
  if (key.split(".").at(-1) === "gamma" || key.includes("layer_scale")) return { rule: 4, base: 0.2, spread: 0.04 }
  if (key.endsWith("logit_scale")) return { rule: 5, base: 4.605170185988092, spread: 0 }
  if (key.endsWith("logit_bias")) return { rule: 6, base: 0, spread: 0 }
  if (shape.length <= 1) return isWeight ? { rule: 7, base: 1, spread: 0.1 } : { rule: 8, base: 0, spread: 0.1 }
  const isVocabulary = shape.length === 2 && shape[0] === vocabularySize && isWeight
  if (isVocabulary || embeddings.some((name) => key.includes(name))) return { rule: 9, base: 0, spread: 0.05 }
  return { rule: 10, base: 0, spread: Math.sqrt(3 / product(shape.slice(1))) }
}

function uniform(seed: number, i: number): number {
  return hash(seed, i) / 2 ** 31 - 1
}

function product(shape: readonly number[]): number {
  assert(shape.every(Number.isInteger), `a shape of [${shape}]`)
  return shape.reduce((total, dim) => total * dim, 1)
}
