/** `MobileCLIP` in a browser: the library's face on a worker, with pictures as browsers have them. */
import { concatenate } from "../core/arrays/concatenate.ts"
import { UserError } from "../core/errors.ts"
import type { CaptionOptions } from "../run/caption/captioner.ts"
import { ClipModel } from "../run/clip.ts"
import type { ClipHost, ClipInfo } from "../run/clip-host.ts"
import { type pipelineTask, requireTask, type ZeroShotPipeline, zeroShotPipeline } from "../run/pipeline.ts"
import type { Engine } from "./engine.ts"
import { type BrowserLoadOptions, requireOptions } from "./load-options.ts"
import { openEngine } from "./open-engine.ts"
import { type BrowserPicture, pack } from "./pictures/picture.ts"
import type { ModelSource } from "./weights/model-source.ts"

/**
 * A CLIP with everything that a page needs of it:
 *
 *     const clip = await MobileCLIP.load("./models/s0/")
 *     const [scores] = await clip.classify([file], ["a cat", "a dog"])
 *     await clip.dispose()
 */
export class MobileCLIP extends ClipModel<BrowserPicture> {
  /**
   * Opens a model in a worker of its own: the address of a folder that `mobileclip convert` wrote, a repository of the hub
   * (owner/name), or its files. Weights are kept by the browser where it has room.
   *
   * @throws UserError where there is no such model, or its files are not those of its manifest; the signal's reason
   */
  static async load(source: ModelSource, options: BrowserLoadOptions = {}): Promise<MobileCLIP> {
    requireOptions(options)
    options.signal?.throwIfAborted()
    const { engine, info } = await openEngine({ source, options })
    return new MobileCLIP(new WorkerHost(engine, info))
  }
}

/**
 * transformers.js' pipeline for zero-shot classification.
 *
 * @throws UserError for another task, and as `MobileCLIP.load` does
 */
export async function pipeline(
  task: typeof pipelineTask,
  source: ModelSource,
  options: BrowserLoadOptions = {},
): Promise<ZeroShotPipeline<BrowserPicture>> {
  requireTask(task)
  return zeroShotPipeline(await MobileCLIP.load(source, options))
}

/** Pictures on the way to the worker: those that a page shows, and bytes, are copied for it. Two of the worker's batches. */
const parcelSize = 16

class WorkerHost implements ClipHost<BrowserPicture> {
  constructor(
    private readonly engine: Engine,
    readonly info: ClipInfo,
  ) {}

  async encodeImages(pictures: readonly BrowserPicture[], signal?: AbortSignal): Promise<Float32Array> {
    const parts: Float32Array[] = []
    for (let start = 0; start < pictures.length; start += parcelSize) {
      const { pictures: sent, transfer } = await pack(pictures.slice(start, start + parcelSize), start)
      parts.push(await this.engine.call("encodeImages", [sent], { signal, transfer }))
    }
    return concatenate(parts)
  }

  encodeTexts(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array> {
    return this.engine.call("encodeTexts", [texts], { signal })
  }

  async caption(pictures: readonly BrowserPicture[], options: CaptionOptions): Promise<string[][]> {
    const { pictures: sent, transfer } = await pack(pictures)
    return this.engine.call("caption", [sent, options], { transfer })
  }

  async dispose(): Promise<void> {
    this.engine.fail(new UserError(`${this.info.name} was disposed of`, "load it again, or dispose of it later"))
  }
}
