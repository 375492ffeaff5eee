/** Any CLIP in a folder as a teacher, in Node, on onnxruntime-node. */
import "../host/no-telemetry.ts"

import { readdir } from "node:fs/promises"
import { basename, join, resolve } from "node:path"
import * as ort from "onnxruntime-node"
import { float16ToFloat32, float32ToFloat16 } from "../core/arrays/half.ts"
import { messageOf, UserError } from "../core/errors.ts"
import type { Manifest } from "../core/inference/manifest.ts"
import { findOnnxFiles, type OnnxDtype, type OnnxFiles } from "../core/inference/onnx-files.ts"
import type { Teacher } from "../core/inference/teacher.ts"
import { modelIdentity, type WeightsFile } from "../core/inference/teacher-identity.ts"
import { textBatch } from "../core/text/token-rows.ts"
import { fileError } from "../host/files/file-error.ts"
import { readJson } from "../host/files/files.ts"
import { sha256OfFile } from "../host/files/hash.ts"
import type { LoadOptions } from "../run/load-options.ts"
import { readManifest } from "../run/node.ts"
import { openSession } from "../run/session.ts"
import type { ClipDescription } from "./onnx/description.ts"
import type { Feed, Graph, Port } from "./onnx/graph.ts"
import { immichClip } from "./onnx/immich.ts"
import { onnxTeacher } from "./onnx/onnx-teacher.ts"
import { transformersClip } from "./onnx/transformers.ts"

export interface TeacherOptions extends LoadOptions {
  /** Of the weights, where a folder has several (default: fp32). */
  readonly dtype?: OnnxDtype
  /** In identities and messages (default: what the files say, or the folder's name). */
  readonly name?: string
}

/** A teacher's description and where its towers are. */
interface Found {
  readonly description: ClipDescription
  readonly image: string
  readonly text: string
  readonly weights: readonly WeightsFile[]
}

/**
 * The CLIP in `directory`, of our own layout, transformers.js' or Immich's, loaded and run once.
 * Throws UserError when there is none, its files contradict each other, or its tokenizer is not CLIP's.
 */
export async function openTeacher(directory: string, options: TeacherOptions = {}): Promise<Teacher> {
  const found = await findTeacher(directory, options)
  const { description } = found
  const graphs = await openGraphs(directory, found, options)
  try {
    return await onnxTeacher(description, graphs, {
      identity: identityOf(found),
      textBatch: textBatch[options.provider === "cuda" ? "cuda" : "cpu"],
    })
  } catch (error) {
    await Promise.all([...new Set([graphs.image, graphs.text])].map((graph) => graph.release()))
    throw error
  }
}

/** The identity of the teacher that `openTeacher` opens, from its files alone. Throws UserError where there is none. */
export async function teacherIdentity(directory: string, options: TeacherOptions = {}): Promise<string> {
  return identityOf(await findTeacher(directory, options))
}

function identityOf({ description, weights }: Found): string {
  return modelIdentity(description.name, weights, description.preprocessing)
}

async function findTeacher(directory: string, options: TeacherOptions): Promise<Found> {
  const files = findOnnxFiles(await filesIn(directory), options.dtype ?? null, directory)
  if (!files) {
    throw new UserError(
      `${directory} holds no CLIP as ONNX files`,
      "give a folder that `mobileclip convert` wrote, or one in the layout of transformers.js or Immich",
    )
  }
  return files.layout === "mobileclip" ? ours(directory, options) : others(directory, files, options)
}

/** Relative paths with forward slashes. Towers lie two folders deep at most. */
async function filesIn(directory: string): Promise<string[]> {
  try {
    const top = await readdir(directory, { withFileTypes: true })
    const below = top
      .filter((entry) => ["onnx", "visual", "textual"].includes(entry.name))
      .map(async ({ name }) => (await readdir(join(directory, name))).map((file) => `${name}/${file}`))
    return [...top.map(({ name }) => name), ...(await Promise.all(below)).flat()]
  } catch (error) {
    throw fileError(error, "reading", directory)
  }
}

async function ours(directory: string, { dtype, name }: TeacherOptions): Promise<Found> {
  const manifest = await readManifest(directory)
  const { towers, preprocessing, contextLength, embedDim } = manifest
  if (!towers.text) throw new UserError(`${manifest.name} in ${directory} has no text tower`, "a teacher has both")
  if (dtype && dtype !== manifest.dtype) {
    throw new UserError(`${directory} is in ${manifest.dtype}, not ${dtype}`, "convert it again, or leave out --dtype")
  }
  const { image, text } = towers
  const description = { preprocessing, contextLength, embedDim, padding: 0, image, text }
  return {
    description: { ...description, name: name ?? manifest.name },
    image: image.file,
    text: text.file,
    weights: listedHashes(manifest, [image.file, text.file]),
  }
}

function listedHashes({ files }: Manifest, towers: readonly string[]): WeightsFile[] {
  const all = towers.flatMap((file) => [file, `${file}_data`]).filter((file) => file in files)
  return all.map((file) => ({ file, sha256: files[file]!.sha256 }))
}

async function others(
  directory: string,
  { layout, image, text, files }: Exclude<OnnxFiles, { layout: "mobileclip" }>,
  options: TeacherOptions,
): Promise<Found> {
  const name = options.name ?? basename(resolve(directory))
  const json = async (file: string) => readJson(join(directory, file), "a teacher's configuration")
  const optional = async (file: string) => (files.includes(file) ? json(file) : null)
  const description =
    layout === "immich"
      ? immichClip(
          name,
          {
            config: await optional("config.json"),
            preprocess: await json("visual/preprocess_cfg.json"),
            tokenizer: await json("textual/tokenizer.json"),
            tokenizerConfig: await optional("textual/tokenizer_config.json"),
          },
          directory,
        )
      : transformersClip(
          name,
          {
            config: await json("config.json"),
            preprocessor: await json("preprocessor_config.json"),
            tokenizer: await json("tokenizer.json"),
            tokenizerConfig: await optional("tokenizer_config.json"),
          },
          directory,
        )
  const weights = files.filter((file) => !file.endsWith(".json"))
  const hashed = weights.map(async (file) => ({ file, sha256: await sha256OfFile(join(directory, file)) }))
  return { description, image, text, weights: await Promise.all(hashed) }
}

async function openGraphs(directory: string, { image, text }: Found, options: LoadOptions) {
  const first = await OnnxGraph.open(directory, image, options)
  return { image: first, text: image === text ? first : await OnnxGraph.open(directory, text, options) }
}

class OnnxGraph implements Graph {
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]

  private constructor(
    readonly file: string,
    private readonly session: ort.InferenceSession,
  ) {
    this.inputs = session.inputMetadata.map(portOf)
    this.outputs = session.outputMetadata.map(portOf)
  }

  static async open(directory: string, file: string, options: LoadOptions): Promise<OnnxGraph> {
    return new OnnxGraph(file, await openSession(join(directory, ...file.split("/")), options))
  }

  async run(feeds: Readonly<Record<string, Feed>>, output: string): Promise<Float32Array> {
    const tensors = Object.entries(feeds).map(([name, feed]) => [name, this.tensor(name, feed)] as const)
    try {
      const results = await this.session.run(Object.fromEntries(tensors), [output])
      return float32(results[output]!)
    } catch (error) {
      const shapes = Object.entries(feeds).map(([name, { shape }]) => `${name} [${shape}]`)
      throw new UserError(`${this.file} fails on ${shapes.join(", ")}: ${messageOf(error)}`, undefined, {
        cause: error,
      })
    }
  }

  release(): Promise<void> {
    return this.session.release()
  }

  private tensor(name: string, { data, shape }: Feed): ort.Tensor {
    const type = this.inputs.find((port) => port.name === name)?.type
    if (data instanceof Float32Array) {
      if (type === "float16") return new ort.Tensor("float16", float32ToFloat16(data), shape)
      return new ort.Tensor("float32", data, shape)
    }
    return type === "int32"
      ? new ort.Tensor("int32", Int32Array.from(data, Number), shape)
      : new ort.Tensor("int64", data, shape)
  }
}

function portOf(port: ort.InferenceSession.ValueMetadata): Port {
  return port.isTensor
    ? { name: port.name, type: port.type, shape: port.shape }
    : { name: port.name, type: "?", shape: [] }
}

/** float16 comes as its bits, or as the array type that newer runtimes have for it. */
function float32(tensor: ort.Tensor): Float32Array {
  if (tensor.type === "float32") return tensor.data as Float32Array
  const { buffer, byteOffset, length } = tensor.data as Uint16Array
  return float16ToFloat32(new Uint16Array(buffer, byteOffset, length))
}
