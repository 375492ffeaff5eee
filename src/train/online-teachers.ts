/**
 * Teachers that run beside the student, in evaluation mode: embeddings that data does not hold are computed for each batch.
 * Slower than reinforced data by what the teachers cost, and the same numbers.
 */
import type * as torch from "../../torch/index.ts"
import { inBatches } from "../core/arrays/batches.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import { UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { Precision } from "../core/precision.ts"
import { endOfText } from "../core/text/tokenizer.ts"
import type { Batch, TeacherEmbeddings } from "../data/training/batch.ts"
import type { CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { reparameterize } from "../model/reparameterize.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { TorchEncoder } from "../tensor/torch-encoder.ts"
import { rowsOf } from "./encode.ts"

interface OnlineTeacher {
  /** For messages. */
  readonly name: string
  readonly model: CheckpointModel
  readonly preprocessing: Preprocessing
}

interface Student {
  readonly preprocessing: Preprocessing
  readonly contextLength: number
}

export interface TeacherOptions {
  readonly device?: torch.Device
  /** Pairs encoded at once; absent: all. */
  readonly chunkSize?: number
  /** What the towers compute in; embeddings are float32. */
  readonly precision?: Precision
}

export class OnlineTeachers {
  private readonly encoders: readonly TorchEncoder[]

  /** Copies the weights to the device. Throws UserError where a teacher sees pictures of another size. */
  constructor(
    teachers: readonly OnlineTeacher[],
    private readonly student: Student,
    private readonly options: TeacherOptions = {},
  ) {
    for (const teacher of teachers) checkSize(teacher, student)
    this.encoders = teachers.map((teacher) => encoderOf(teacher, options))
  }

  /** The same batches with the teachers' embeddings, unit rows side by side. */
  async *embed(batches: Iterable<Batch> | AsyncIterable<Batch>): AsyncGenerator<Batch> {
    for await (const batch of batches) yield { ...batch, teacher: await this.embeddings(batch) }
  }

  free(): void {
    for (const encoder of this.encoders) encoder.free()
  }

  private async embeddings({ images, tokens, synthetic }: Batch): Promise<TeacherEmbeddings> {
    const pairs = tokens.length / this.student.contextLength
    return {
      image: await this.joined(pairs, (encoder) => this.images(encoder, images, pairs)),
      text: await this.joined(pairs, (encoder) => this.texts(encoder, tokens, pairs)),
      ...(synthetic && { synthetic: await this.joined(pairs, (encoder) => this.texts(encoder, synthetic, pairs)) }),
      widths: this.encoders.map(({ embedDim }) => embedDim),
    }
  }

  private async joined(pairs: number, encode: (encoder: TorchEncoder) => Promise<Float32Array>): Promise<Float32Array> {
    const parts: Float32Array[] = []
    for (const encoder of this.encoders) parts.push(l2Normalize(await encode(encoder), encoder.embedDim))
    return sideBySide(parts, pairs)
  }

  private images(encoder: TorchEncoder, images: Float32Array, pairs: number): Promise<Float32Array> {
    const pixels = renormalized(images, this.student.preprocessing, encoder.preprocessing)
    return this.inChunks(pixels, pairs, (part, count) => encoder.encodePixels(part, count))
  }

  private texts(encoder: TorchEncoder, tokens: BigInt64Array, pairs: number): Promise<Float32Array> {
    const ids = refitted(tokens, this.student.contextLength, encoder.contextLength)
    return this.inChunks(ids, pairs, (part, count) => encoder.encodeTokens(part, count))
  }

  private inChunks<T extends Float32Array | BigInt64Array>(
    inputs: T,
    pairs: number,
    encode: (part: T, count: number) => Float32Array,
  ): Promise<Float32Array> {
    return inBatches(pairs, this.options.chunkSize ?? pairs, (start, end) =>
      encode(rowsOf(inputs, pairs, start, end - start), end - start),
    )
  }
}

function encoderOf({ model, preprocessing }: OnlineTeacher, { device, precision }: TeacherOptions): TorchEncoder {
  const fused = reparameterize(model)
  const interpreter = new TorchInterpreter(fused, device === undefined ? {} : { device })
  return new TorchEncoder(fused, interpreter, { preprocessing, ...(precision && { precision }) })
}

function checkSize({ name, preprocessing }: OnlineTeacher, student: Student): void {
  const { size } = student.preprocessing
  if (preprocessing.size === size) return
  throw new UserError(
    `the teacher ${name} takes pictures of ${preprocessing.size} pixels and the student of ${size}`,
    "store its embeddings in the data (`mobileclip reinforce embed` makes views of every size)",
  )
}

/** Pixels of one mean and std as those of another. */
function renormalized(images: Float32Array, from: Preprocessing, to: Preprocessing): Float32Array {
  const factors = from.std.map((std, c) => std / to.std[c]!)
  const shifts = from.mean.map((mean, c) => (mean - to.mean[c]!) / to.std[c]!)
  if (factors.every((factor) => factor === 1) && shifts.every((shift) => shift === 0)) return images
  const area = from.size ** 2
  return images.map((x, i) => {
    const channel = Math.floor(i / area) % 3
    return x * factors[channel]! + shifts[channel]!
  })
}

/** Zero-padded rows of ids for another context length; a row that is cut keeps its end of text. */
function refitted(tokens: BigInt64Array, from: number, to: number): BigInt64Array {
  if (from === to) return tokens
  const rows = tokens.length / from
  const eot = BigInt(endOfText)
  const result = new BigInt64Array(rows * to)
  for (let row = 0; row < rows; row++) {
    const ids = tokens.subarray(row * from, (row + 1) * from)
    result.set(ids.subarray(0, to), row * to)
    if (ids.indexOf(eot) >= to) result[(row + 1) * to - 1] = eot
  }
  return result
}

/** [N, width] of each teacher -> [N, sum of widths] */
function sideBySide(parts: readonly Float32Array[], rows: number): Float32Array {
  const widths = parts.map((part) => part.length / rows)
  const total = widths.reduce((sum, width) => sum + width, 0)
  const joined = new Float32Array(rows * total)
  let offset = 0
  for (const [i, part] of parts.entries()) {
    const width = widths[i]!
    for (let row = 0; row < rows; row++) joined.set(part.subarray(row * width, (row + 1) * width), row * total + offset)
    offset += width
  }
  return joined
}
