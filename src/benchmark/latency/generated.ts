/** Members of the family with generated weights: values do not change the time. Nothing of a model is held but its shapes. */
import { writeFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { Random } from "../../core/arrays/random.ts"
import type { ClipConfig } from "../../core/family/variants.ts"
import { towers } from "../../core/inference/manifest.ts"
import type { OnnxDtype } from "../../core/precision.ts"
import { partCost } from "../../export/part-cost.ts"
import { type TowerName, traceTower } from "../../export/towers.ts"
import { fileError } from "../../host/files/file-error.ts"
import { Clip } from "../../model/clip.ts"
import type { Module } from "../../model/module.ts"
import { fold, reparameterize } from "../../model/reparameterize.ts"
import type { EncodedFile } from "../../tensor/onnx-proto.ts"
import type { Init, Parameter } from "../../tensor/parameter.ts"

/** A model whose values are made each time they are read. */
export function generatedClip(config: ClipConfig): Clip {
  const model = new Clip(config)
  generateValues(model)
  return model
}

/** No two parameters are equal: ONNX Runtime keeps one copy of weights that are, and smaller ones stay in the processor's caches. */
export function generateValues(model: Module): void {
  let start = 0
  for (const parameter of model.namedParameters().values()) {
    const own = start
    parameter.source = () => valuesOf(parameter, own)
    start = (start + startStep) % table.length
  }
}

/** Random values that are repeated; their number is prime, so that the rows of no matrix are equal. */
const table = drawTable(65_537)
/** Between the starts of two parameters in the table. */
const startStep = 7919

function drawTable(size: number): Float32Array {
  const random = Random.of(0, "generated")
  return Float32Array.from({ length: size }, () => random.uniform(-1, 1))
}

function valuesOf({ init, size }: Parameter, start: number): Float32Array {
  const values = new Float32Array(size)
  if (init.kind === "constant") return values.fill(init.value)
  const spread = spreadOf(init)
  const scaled = table.map((_, i) => table[(start + i) % table.length]! * spread)
  for (let at = 0; at < size; at += scaled.length)
    values.set(scaled.subarray(0, Math.min(scaled.length, size - at)), at)
  return values
}

/** Half of the width of a uniform distribution that is as wide as the initial values', so that activations stay in range. */
function spreadOf(init: Exclude<Init, { kind: "constant" }>): number {
  switch (init.kind) {
    case "normal":
      return init.std * Math.sqrt(3)
    case "fanIn":
      return 1 / Math.sqrt(init.fanIn)
    case "uniform":
      return init.bound
    default:
      return init satisfies never
  }
}

export interface TowerCost {
  /** Learned values of the fused tower. */
  readonly parameters: number
  /** Multiply-adds for one picture or one text of full length, attention's products included. */
  readonly macs: number
}

export function towerCost(config: ClipConfig, tower: TowerName): TowerCost {
  const { parameters, multiplyAdds, attentionMultiplyAdds } = partCost(reparameterize(new Clip(config)), tower)
  return { parameters, macs: multiplyAdds + attentionMultiplyAdds }
}

/** Bytes of the tower's file. */
export function towerBytes(parameters: number, dtype: OnnxDtype): number {
  return parameters * (dtype === "fp16" ? 2 : 4)
}

interface WriteOptions {
  readonly dtype: OnnxDtype
  readonly signal?: AbortSignal | undefined
}

/** Writes the fused and folded tower to `folder`/`file`, and its weights beside it where they are too many for one file. */
export async function writeTower(
  config: ClipConfig,
  tower: TowerName,
  folder: string,
  file: string,
  { dtype, signal }: WriteOptions,
): Promise<void> {
  const model = fold(reparameterize(generatedClip(config)))
  const dataFile = `${basename(file)}_data`
  const encoded = traceTower(tower, model, towers[tower], { dtype, encode: { dataFile } })
  await write(join(folder, file), encoded, signal)
  if (encoded.external) await write(join(folder, dataFile), encoded.external, signal)
}

/** It need not survive a crash of the machine, so the disk is not waited for. */
async function write(path: string, file: EncodedFile, signal: AbortSignal | undefined): Promise<void> {
  try {
    await writeFile(path, file.chunks(), { signal })
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}
