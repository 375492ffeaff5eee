/** Data sets and models whose vectors a test chooses: pictures of one pixel, whose red value is their number. */
import sharp from "sharp"
import type { BenchmarkDataset, BenchmarkSample } from "../src/benchmark/layout/benchmark-dataset.ts"
import type { PictureModel } from "../src/benchmark/run/evaluated-model.ts"
import type { EvaluationTask } from "../src/benchmark/run/job.ts"
import { UserError } from "../src/core/errors.ts"
import type { Image8 } from "../src/core/image/pixels.ts"

export type FakeSample = Partial<Omit<BenchmarkSample, "images" | "key">> & { readonly pictures: readonly number[] }

export async function fakeDataset(
  samples: readonly FakeSample[],
  more: Partial<BenchmarkDataset> = {},
): Promise<BenchmarkDataset & { reads: number }> {
  const files = new Map<number, Uint8Array>()
  for (const number of new Set(samples.flatMap(({ pictures }) => pictures))) files.set(number, await png(number))
  const dataset = {
    ...({ location: "fake", kind: "classification", split: "test", shards: 1, identity: "fake pictures" } as const),
    ...{ classNames: null, templates: null, groups: null, notes: [], reads: 0, ...more },
    async *samples() {
      dataset.reads++
      for (const [i, { pictures, ...sample }] of samples.entries()) {
        const nothing = { label: null, texts: [], metadata: null, associations: null }
        yield { key: `0.tar/s${i}`, ...nothing, ...sample, images: pictures.map((number) => files.get(number)!) }
      }
    },
  }
  return dataset
}

/** All samples, then the error of an archive that is cut off. */
export async function* failing(samples: AsyncIterable<BenchmarkSample>): AsyncGenerator<BenchmarkSample> {
  yield* samples
  throw new UserError("0.tar is cut off", "get it again")
}

export class FakeModel implements PictureModel {
  readonly identity: string
  encodedImages = 0
  encodedTexts = 0
  readonly batches: number[] = []

  constructor(
    readonly name: string,
    readonly embedDim: number,
    /** The vector of the picture with this number. */
    private readonly ofPicture: (number: number) => readonly number[],
    private readonly ofText: (text: string) => readonly number[],
  ) {
    this.identity = `${name} weights=${name}`
  }

  async encodeImages(images: readonly Image8[]): Promise<Float32Array> {
    this.encodedImages += images.length
    this.batches.push(images.length)
    return Float32Array.from(images.flatMap(({ data }) => this.ofPicture(data[0]!)))
  }

  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    this.encodedTexts += texts.length
    return Float32Array.from(texts.flatMap((text) => this.ofText(text)))
  }
}

export function fakeTask(task: Partial<EvaluationTask> & Pick<EvaluationTask, "kind" | "mainMetric">): EvaluationTask {
  return { key: "fake", name: "Fake", folders: [], size: null, classes: null, chance: null, counted: false, ...task }
}

async function png(number: number): Promise<Uint8Array> {
  const pixel = { width: 1, height: 1, channels: 3, background: { r: number, g: 0, b: 0 } } as const
  return new Uint8Array(await sharp({ create: pixel }).png().toBuffer())
}
