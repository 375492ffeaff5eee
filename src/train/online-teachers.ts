/**
 * Teachers that run beside the student, in evaluation mode: embeddings that data does not hold are computed for each batch.
 * Slower than reinforced data by what the teachers cost, and the same numbers.
 */
import * as torch from "../../torch/index.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import { UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { endOfText } from "../core/text/tokenizer.ts"
import type { Batch, TeacherEmbeddings } from "../data/training/batch.ts"
import type { CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { reparameterize } from "../model/reparameterize.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { hostValues, TorchInterpreter } from "../tensor/torch.ts"
import { computeIn, type Precision, rowsOf } from "./encode.ts"

export interface OnlineTeacher {
  /** For messages. */
  readonly name: string
  readonly model: CheckpointModel
  readonly preprocessing: Preprocessing
}

export interface Student {
  readonly preprocessing: Preprocessing
  readonly contextLength: number
}

export interface TeacherOptions {
  readonly device?: torch.Device
  /** Pairs encoded at once; absent: all. */
  readonly chunkSize?: number
  /** Of the towers; embeddings are float32. */
  readonly precision?: Precision
}

export class OnlineTeachers {
  private readonly running: readonly RunningTeacher[]

  /** Copies the weights to the device. Throws UserError where a teacher sees pictures of another size. */
  constructor(
    teachers: readonly OnlineTeacher[],
    private readonly student: Student,
    options: TeacherOptions = {},
  ) {
    for (const teacher of teachers) checkSize(teacher, student)
    this.running = teachers.map((teacher) => new RunningTeacher(teacher, student, options))
  }

  /** The same batches with the teachers' embeddings, unit rows side by side. */
  async *embed(batches: Iterable<Batch> | AsyncIterable<Batch>): AsyncGenerator<Batch> {
    for await (const batch of batches) yield { ...batch, teacher: this.embeddings(batch) }
  }

  free(): void {
    for (const teacher of this.running) teacher.free()
  }

  private embeddings({ images, tokens, synthetic }: Batch): TeacherEmbeddings {
    const pairs = tokens.length / this.student.contextLength
    const joined = (encode: (teacher: RunningTeacher) => Float32Array) => sideBySide(this.running.map(encode), pairs)
    return {
      image: joined((teacher) => teacher.encodeImages(images, pairs)),
      text: joined((teacher) => teacher.encodeTexts(tokens, pairs)),
      ...(synthetic && { synthetic: joined((teacher) => teacher.encodeTexts(synthetic, pairs)) }),
      widths: this.running.map(({ width }) => width),
    }
  }
}

class RunningTeacher {
  readonly width: number
  private readonly interpreter: TorchInterpreter
  private readonly model: CheckpointModel

  constructor(
    private readonly teacher: OnlineTeacher,
    private readonly student: Student,
    private readonly options: TeacherOptions,
  ) {
    this.model = reparameterize(teacher.model)
    this.interpreter = new TorchInterpreter(this.model, options.device === undefined ? {} : { device: options.device })
    this.width = teacher.model.config.embedDim
  }

  encodeImages(images: Float32Array, count: number): Float32Array {
    const { size } = this.teacher.preprocessing
    const pixels = renormalized(images, this.student.preprocessing, this.teacher.preprocessing)
    return this.inChunks(pixels, count, (part, pairs) =>
      this.model.encodeImage(this.interpreter.images(part, [pairs, 3, size, size])),
    )
  }

  encodeTexts(tokens: BigInt64Array, count: number): Float32Array {
    const { contextLength } = this.model.config.text
    const ids = refitted(tokens, this.student.contextLength, contextLength)
    return this.inChunks(ids, count, (part, pairs) =>
      this.model.encodeText(this.interpreter.tokens(part, [pairs, contextLength])),
    )
  }

  free(): void {
    this.interpreter.free()
  }

  /** [count, ...] -> unit rows [count, width] */
  private inChunks<T extends Float32Array | BigInt64Array>(
    inputs: T,
    count: number,
    encode: (part: T, pairs: number) => Tensor,
  ): Float32Array {
    const features = new Float32Array(count * this.width)
    const size = this.options.chunkSize ?? count
    for (let start = 0; start < count; start += size) {
      const pairs = Math.min(size, count - start)
      features.set(
        this.values(() => encode(rowsOf(inputs, count, start, pairs), pairs)),
        start * this.width,
      )
    }
    return l2Normalize(features, this.width)
  }

  private values(encode: () => Tensor): Float32Array {
    const compute = computeIn(this.interpreter, this.options.precision)
    return torch.scope(() => torch.noGrad(() => hostValues(this.interpreter.unwrap(compute(encode)))))
  }
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
export function renormalized(images: Float32Array, from: Preprocessing, to: Preprocessing): Float32Array {
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
export function refitted(tokens: BigInt64Array, from: number, to: number): BigInt64Array {
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
