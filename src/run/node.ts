/** Model directories in Node, on onnxruntime-node. */
import "../host/no-telemetry.ts"

import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import * as ort from "onnxruntime-node"
import { UserError } from "../core/errors.ts"
import type { Values } from "../core/inference/caption-decoder.ts"
import { type Manifest, manifestFile, memoryName, parseManifest, type TowerFile } from "../core/inference/manifest.ts"
import { readJson } from "../host/files/files.ts"
import { Captioner, type CaptionerGraphs, type CaptionerModel, GraphRuntime } from "./captioner.ts"
import { Model, type Tower } from "./encoder.ts"
import type { LoadOptions } from "./load-options.ts"
import { openSession } from "./session.ts"

export type { LoadOptions } from "./load-options.ts"

/**
 * The model in `directory`. A tower is read when it is first used. Throws UserError when there is no model, or its
 * files are not those that the manifest lists.
 */
export async function loadModel(directory: string, options: LoadOptions = {}): Promise<Model> {
  const manifest = await readManifest(directory)
  return new Model(manifest, {
    image: new OnnxTower<Float32Array>(directory, manifest.towers.image, options),
    text: manifest.towers.text ? new OnnxTower<BigInt64Array>(directory, manifest.towers.text, options) : null,
  })
}

/** The captioner in `directory`. Throws UserError when there is none, or its files are not those of the manifest. */
export async function loadCaptioner(
  directory: string,
  options: LoadOptions = {},
): Promise<Captioner<Manifest & CaptionerModel>> {
  const manifest = await readManifest(directory)
  const { decoder, towers } = manifest
  if (!decoder || !towers.decoder) {
    throw new UserError(
      `${manifest.name} in ${directory} is no captioner: it has no decoder`,
      "convert a CoCa checkpoint",
    )
  }
  const graphs = new OnnxCaptioner(directory, towers.image, towers.decoder, options)
  return new Captioner({ ...manifest, decoder }, new GraphRuntime(decoder, graphs))
}

export async function readManifest(directory: string): Promise<Manifest> {
  const path = join(directory, manifestFile)
  if (!existsSync(path)) {
    throw new UserError(
      `there is no model in ${directory}: ${manifestFile} is missing`,
      "`mobileclip quickstart` and `mobileclip export` write such a directory",
    )
  }
  const manifest = parseManifest(await readJson(path, "a model's manifest"), path)
  const towers = Object.values(manifest.towers).flatMap((tower) => (tower ? [tower.file] : []))
  const beside = towers.map((file) => `${file}_data`).filter((file) => file in manifest.files)
  for (const file of [...towers, ...beside]) checkSize(join(directory, file), manifest.files[file]?.bytes)
  return manifest
}

/** Tells a copy that was cut off from a fault of the runtime. */
function checkSize(path: string, expected: number | undefined): void {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size
  if (bytes !== undefined && bytes === expected) return
  throw new UserError(
    bytes === undefined ? `${path} is missing` : `${path} has ${bytes} bytes, and ${manifestFile} says ${expected}`,
    "copy or export the model again",
  )
}

class OnnxCaptioner implements CaptionerGraphs {
  private encoder: Promise<ort.InferenceSession> | null = null
  private decoder: Promise<ort.InferenceSession> | null = null

  constructor(
    private readonly directory: string,
    private readonly image: TowerFile,
    private readonly decoderFile: TowerFile,
    private readonly options: LoadOptions,
  ) {}

  async remember(pixels: Values): Promise<Values> {
    this.encoder ??= openSession(join(this.directory, this.image.file), this.options)
    const results = await (await this.encoder).run({ [this.image.input]: floats(pixels) }, [memoryName])
    return valuesOf(results[memoryName]!)
  }

  async step(ids: readonly number[], cache: Values, memory: Values) {
    this.decoder ??= openSession(join(this.directory, this.decoderFile.file), this.options)
    const tokens = new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [ids.length, 1])
    const feeds = { [this.decoderFile.input]: tokens, past: floats(cache), [memoryName]: floats(memory) }
    const results = await (await this.decoder).run(feeds)
    return { logits: valuesOf(results[this.decoderFile.output]!), cache: valuesOf(results.present!) }
  }

  async release(): Promise<void> {
    await Promise.all([this.encoder, this.decoder].map(async (session) => (await session)?.release()))
  }
}

function floats({ data, shape }: Values): ort.Tensor {
  return new ort.Tensor("float32", data, shape)
}

function valuesOf(tensor: ort.Tensor): Values {
  return { data: tensor.data as Float32Array, shape: tensor.dims }
}

class OnnxTower<Input extends Float32Array | BigInt64Array> implements Tower<Input> {
  private session: Promise<ort.InferenceSession> | null = null

  constructor(
    private readonly directory: string,
    private readonly file: TowerFile,
    private readonly options: LoadOptions,
  ) {}

  async run(input: Input, shape: readonly number[]): Promise<Float32Array> {
    this.session ??= openSession(join(this.directory, this.file.file), this.options)
    const results = await (await this.session).run({ [this.file.input]: this.tensor(input, shape) })
    return results[this.file.output]!.data as Float32Array
  }

  private tensor(input: Input, shape: readonly number[]): ort.Tensor {
    if (input instanceof Float32Array) return new ort.Tensor("float32", input, shape)
    if (this.file.ids === "int32") return new ort.Tensor("int32", Int32Array.from(input, Number), shape)
    return new ort.Tensor("int64", input, shape)
  }

  async release(): Promise<void> {
    await (await this.session)?.release()
  }
}
