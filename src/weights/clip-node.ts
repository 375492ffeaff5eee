/** `MobileCLIP` in Node: the library's face on onnxruntime-node, with pictures from files, addresses and memory. */
import { statSync } from "node:fs"
import { join } from "node:path"
import { requireCount, requireOneOf, requireSignal, requireSwitch } from "../core/arguments.ts"
import { concatenate } from "../core/arrays/concatenate.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { towerChoices } from "../core/inference/onnx-files.ts"
import { inOrder } from "../core/parallel.ts"
import { onnxDtypes } from "../core/precision.ts"
import type { LabelStore } from "../core/text/label-store.ts"
import { decodeImage, defaultMaxPixels } from "../host/image/images.ts"
import { usableProcessors } from "../host/processors.ts"
import { type EncodedFile, encodeFiles, type PictureSource, type PixelOptions } from "../pictures/encode-files.ts"
import { KeptTowers } from "../pictures/kept-towers.ts"
import { type NodePicture, type OpenPicture, openPicture } from "../pictures/picture.ts"
import { decodings, orientations, type PictureReading, pixelOptions, readingDefaults } from "../pictures/reading.ts"
import { captionAll } from "../run/caption/caption-each.ts"
import { type CaptionOptions, withoutDecoder } from "../run/caption/captioner.ts"
import { ClipModel } from "../run/clip.ts"
import type { ClipHost, ClipInfo } from "../run/clip-host.ts"
import { providers, type LoadOptions as RunOptions } from "../run/load-options.ts"
import { folderDtype } from "../run/node.ts"
import { type OpenClip, openClip } from "../run/open-clip.ts"
import { type pipelineTask, requireTask, type ZeroShotPipeline, zeroShotPipeline } from "../run/pipeline.ts"
import { runtimeName } from "../run/session.ts"
import { type ClipSource, type OpenSource, openSource } from "./clip-source.ts"
import type { SourceOptions } from "./model-directory.ts"

export interface ClipLoadOptions extends SourceOptions, Pick<RunOptions, "threads"> {
  /** Whether files are turned as their cameras noted (default: "ignore", as in training). */
  readonly orientation?: PictureReading["orientation"] | undefined
  /** "fast": the decoder makes large JPEG files smaller itself, which changes vectors a little (default: "exact"). */
  readonly decode?: PictureReading["decode"] | undefined
  /** Files of larger pictures are refused before their pixels take memory (default: 100 million). */
  readonly maxPixels?: number | undefined
  /** Whether vectors of labels are kept between runs, in this user's cache (default: yes). */
  readonly cache?: boolean | undefined
  /** Where to compute (default: the processor). What else there is depends on the build of ONNX Runtime. */
  readonly device?: RunOptions["provider"] | undefined
}

/**
 * A CLIP with everything that an application needs of it:
 *
 *     const clip = await MobileCLIP.load("MobileCLIP2-S0")
 *     const [scores] = await clip.classify(["cat.jpg"], ["a cat", "a dog"])
 *     await clip.dispose()
 */
export class MobileCLIP extends ClipModel<NodePicture> {
  /**
   * Opens the CLIP that `source` names: a member of the family or a repository (downloaded into the hub's cache where it is
   * not there), a folder of ONNX towers, a run's folder, a file of weights (exported once, into this user's cache), the
   * http(s) address of a model directory (downloaded once, checked against its manifest), or its files.
   *
   * @throws UserError where there is no such model, or its files contradict each other; the signal's reason
   */
  static async load(source: ClipSource, options: ClipLoadOptions = {}): Promise<MobileCLIP> {
    requireOptions(options)
    options.signal?.throwIfAborted()
    const opened = await openSource(source, options)
    try {
      return new MobileCLIP(await openHost(opened, options))
    } catch (error) {
      opened.temporary?.[Symbol.dispose]()
      throw error
    }
  }
}

function requireOptions(options: ClipLoadOptions): void {
  const { towers, dtype, threads, device, signal, orientation, decode, maxPixels, cache } = options
  requireSignal(signal)
  requireOneOf("towers", towers, towerChoices)
  requireOneOf("dtype", dtype, onnxDtypes)
  requireOneOf("device", device, providers)
  requireOneOf("orientation", orientation, orientations)
  requireOneOf("decode", decode, decodings)
  requireSwitch("cache", cache)
  requireCount("threads", threads)
  requireCount("maxPixels", maxPixels)
}

/** How files of pictures are decoded. */
function decodingOf({ orientation, decode, maxPixels = defaultMaxPixels }: ClipLoadOptions): PixelOptions {
  const { orientation: usual, decode: exact } = readingDefaults
  return pixelOptions({ orientation: orientation ?? usual, decode: decode ?? exact }, maxPixels)
}

async function openHost(source: OpenSource, options: ClipLoadOptions): Promise<NodeHost> {
  const { dtype, towers, signal, onProgress, cache, device = "cpu" } = options
  const { directory, name } = source
  const onOpen = (file: string) => {
    const { size } = statSync(join(directory, file))
    onProgress?.({ stage: "open", file, loaded: size, total: size, from: "disk" })
  }
  const processors = usableProcessors()
  const threads = options.threads ?? processors.count
  const notes = options.threads === undefined ? [`threads of a tower: ${threads} (${processors.reason})`] : []
  const clip = await openClip(directory, {
    ...{ provider: device, threads, onOpen, name, dtype, towers, cache },
    onChoice: (line: string) => void notes.push(line),
    onNote: (line: string) => void notes.push(line),
  })
  const info = infoOf(clip, { towers: towers ?? "both", device, threads, notes })
  const host = new NodeHost(clip, info, decodingOf(options), source.temporary)
  if (!signal?.aborted) return host
  await host.dispose()
  throw signal.reason
}

function infoOf(
  { model, folder }: OpenClip,
  { towers, ...chosen }: Pick<ClipInfo, "towers" | "device" | "threads" | "notes">,
): ClipInfo {
  const { name, embedDim, logitScale, preprocessing, manifest } = model
  const hasText = folder.text !== null && towers !== "image"
  return {
    ...{ name, embedDim, logitScale, preprocessing, manifest, ...chosen },
    contextLength: hasText ? model.contextLength : null,
    license: manifest?.license ?? null,
    towers: hasText ? towers : "image",
    runtime: runtimeName(),
    dtype: {
      ...(towers !== "text" && { image: folderDtype(folder, "image") }),
      ...(hasText && { text: folderDtype(folder, "text") }),
    },
  }
}

class NodeHost implements ClipHost<NodePicture> {
  private readonly kept = new KeptTowers()

  constructor(
    private readonly clip: OpenClip,
    readonly info: ClipInfo,
    private readonly decode: PixelOptions,
    private readonly temporary: Disposable | undefined,
  ) {}

  get labelStore(): LabelStore | null {
    return this.clip.model.labelStore
  }

  async encodeImages(pictures: readonly NodePicture[], signal?: AbortSignal): Promise<Float32Array> {
    const { model } = this.clip
    const opened = pictures.map((picture, i) => openPicture(picture, i + 1))
    const files = rowsOf(await this.encodeFiles(opened.filter(isFile), signal), model.embedDim)
    const images = opened.flatMap((one) => (one.kind === "pixels" ? [one.image] : []))
    const pixels = rowsOf(await model.encodeImages(images, { signal }), model.embedDim)
    return concatenate(opened.map(({ kind }) => (kind === "file" ? files : pixels).next().value!))
  }

  encodeTexts(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array> {
    return this.clip.model.encodeTexts(texts, { signal })
  }

  async caption(pictures: readonly NodePicture[], options: CaptionOptions): Promise<string[][]> {
    const { captioner, model } = this.clip
    if (!captioner) throw withoutDecoder(model.name)
    const decodeAll = (batch: readonly NodePicture[], from: number) =>
      inOrder(batch.map((picture, i) => decoded(picture, from + i + 1, this.decode)))
    return captionAll(captioner, pictures, decodeAll, options)
  }

  async dispose(): Promise<void> {
    const { model, captioner } = this.clip
    await Promise.all([model.dispose(), captioner?.dispose(), this.kept[Symbol.asyncDispose]()])
    this.temporary?.[Symbol.dispose]()
  }

  private async encodeFiles(files: readonly OpenFile[], signal: AbortSignal | undefined): Promise<Float32Array> {
    if (files.length === 0) return new Float32Array(0)
    const { model } = this.clip
    const options = { decode: this.decode, kept: this.kept, threads: this.info.threads, signal }
    const vectors: Float32Array[] = []
    for await (const batch of encodeFiles(sources(files), [model], options)) {
      vectors.push(...batch.map(vectorOf))
    }
    return concatenate(vectors)
  }
}

type OpenFile = Extract<OpenPicture, { kind: "file" }>

function isFile(picture: OpenPicture): picture is OpenFile {
  return picture.kind === "file"
}

/** A file's bytes are in memory when they are needed, and not before. */
async function* sources(files: readonly OpenFile[]): AsyncGenerator<PictureSource> {
  for (const file of files) yield await file.read()
}

function vectorOf(file: EncodedFile): Float32Array {
  if ("error" in file) throw file.error
  return file.vectors[0]!
}

function* rowsOf(matrix: Float32Array, width: number): Generator<Float32Array> {
  for (let start = 0; start < matrix.length; start += width) yield matrix.subarray(start, start + width)
}

async function decoded(picture: NodePicture, number: number, decode: PixelOptions): Promise<Image8> {
  const opened = openPicture(picture, number)
  if (opened.kind === "pixels") return opened.image
  const source = await opened.read()
  return typeof source === "string"
    ? decodeImage(source, decode)
    : decodeImage(source.bytes ?? source.name, { ...decode, name: source.name })
}

/**
 * transformers.js' pipeline for zero-shot classification. A program is ported in three lines:
 *
 *     - import { pipeline } from "@huggingface/transformers"
 *     + import { pipeline } from "mobileclip"
 *     - const classify = await pipeline("zero-shot-image-classification", "Xenova/mobileclip_s0")
 *     + const classify = await pipeline("zero-shot-image-classification", "MobileCLIP2-S0")
 *     - const scores = await classify("https://example.com/tiger.jpg", ["tiger", "horse"])
 *     + const scores = await classify("tiger.jpg", ["tiger", "horse"])
 *
 * Scores are `[{ score, label }]`, the best first; a list of pictures gives a list of these. Pictures are not downloaded.
 *
 * @throws UserError for another task, and as `MobileCLIP.load` does
 */
export async function pipeline(
  task: typeof pipelineTask,
  source: ClipSource,
  options: ClipLoadOptions = {},
): Promise<ZeroShotPipeline<NodePicture>> {
  requireTask(task)
  return zeroShotPipeline(await MobileCLIP.load(source, options))
}
