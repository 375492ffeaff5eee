/**
 * Several teachers as one encoder: their vectors, each of unit length, lie side by side in the order of the teachers, so
 * a concatenated vector has the length sqrt(teachers). N rows; D the sum of the teachers' widths.
 */
import { assert, UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Teacher } from "../../core/inference/teacher.ts"
import { ensembleIdentity } from "../../core/inference/teacher-identity.ts"

export class Ensemble implements AsyncDisposable {
  readonly embedDim: number
  readonly identity: string
  /** The kinds of pixels its teachers take; teachers that agree share them. */
  readonly targets: readonly Preprocessing[]
  private readonly targetOf: readonly number[]

  constructor(readonly teachers: readonly Teacher[]) {
    assert(teachers.length > 0, "an ensemble of no teachers")
    this.embedDim = teachers.reduce((sum, { embedDim }) => sum + embedDim, 0)
    this.identity = ensembleIdentity(teachers)
    const keys = teachers.map(({ preprocessing }) => targetKey(preprocessing))
    const distinct = [...new Set(keys)]
    this.targets = distinct.map((key) => teachers[keys.indexOf(key)]!.preprocessing)
    this.targetOf = keys.map((key) => distinct.indexOf(key))
  }

  /** Pixels [N, 3, size, size] for each of the targets -> [N, D]. */
  async encodePixels(pixels: readonly Float32Array[], count: number): Promise<Float32Array> {
    return this.joined(count, (teacher, i) => teacher.encodePixels(pixels[this.targetOf[i]!]!, count))
  }

  /** N texts -> [N, D]. */
  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    return this.joined(texts.length, (teacher) => teacher.encodeTexts(texts))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.teachers.map((teacher) => teacher[Symbol.asyncDispose]()))
  }

  /** One teacher at a time: they share the processor, or the GPU's memory. */
  private async joined(count: number, encode: (teacher: Teacher, i: number) => Promise<Float32Array>) {
    const joined = new Float32Array(count * this.embedDim)
    let column = 0
    for (const [i, teacher] of this.teachers.entries()) {
      const vectors = await encode(teacher, i)
      assert(vectors.length === count * teacher.embedDim, `${teacher.name} gave ${vectors.length} values`)
      for (let row = 0; row < count; row++) {
        const unit = unitVector(vectors.subarray(row * teacher.embedDim, (row + 1) * teacher.embedDim), teacher.name)
        joined.set(unit, row * this.embedDim + column)
      }
      column += teacher.embedDim
    }
    return joined
  }
}

function targetKey({ size, mean, std }: Preprocessing): string {
  return JSON.stringify([size, mean, std])
}

function unitVector(vector: Float32Array, teacher: string): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  if (length > 0 && Number.isFinite(length)) return vector.map((value) => value / length)
  throw new UserError(
    `the teacher ${teacher} gave a vector of length ${length}`,
    "`mobileclip doctor` tests a model; a float16 one may overflow",
  )
}
