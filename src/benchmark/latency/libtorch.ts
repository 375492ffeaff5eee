/** The same towers, and the same matrix product, on libtorch. */
import * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { type ModelDtype, precisionOf } from "../../core/precision.ts"
import type { TowerName } from "../../export/towers.ts"
import type { CheckpointModel } from "../../model/checkpoint/checkpoint.ts"
import { fusedEncoder } from "../../teachers/torch-teacher.ts"
import { checkDevice, hostValues, TorchInterpreter } from "../../tensor/torch.ts"
import { computeIn, weightsIn } from "../../tensor/torch-encoder.ts"
import { withWeights } from "../../weights/open-weights.ts"
import { generatedClip } from "./generated.ts"
import type { Products } from "./peak.ts"
import { type Runner, type RunOptions, towerInput } from "./runner.ts"
import type { Source } from "./subjects.ts"

type TorchOptions = Omit<RunOptions, "batch" | "device"> & {
  readonly dtype: ModelDtype
  readonly device: "cpu" | "cuda"
}

/** Throws UserError where there is no such device. */
export function openTorchProducts(products: Products, { device, dtype, threads }: TorchOptions): Runner {
  checkDevice(device)
  torch.setThreads(threads)
  const precision = precisionOf(dtype)
  const interpreter = new TorchInterpreter(products, { device, dtype: weightsIn(device, precision) })
  const compute = computeIn(interpreter, precision)
  const [input, shape] = [products.input(), [products.size, products.size]]
  const run = async () =>
    torch.scope(() =>
      torch.noGrad(() =>
        compute(() => hostValues(interpreter.unwrap(products.forward(interpreter.images(input, shape))))),
      ),
    )
  return { run, close: async () => interpreter.free() }
}

/** Throws UserError where there is no such device, or it does not compute in this type. */
export async function openTorchTower(
  source: Exclude<Source, { kind: "folder" }>,
  tower: TowerName,
  batch: number,
  options: TorchOptions,
): Promise<Runner> {
  if (source.kind === "generated") {
    const preprocessing = { ...unprocessed, size: source.config.imageSize }
    return runnerOf(generatedClip(source.config), preprocessing, tower, batch, options)
  }
  return withWeights(source.path, source.variant, async ({ model, info: { name, preprocessing } }) => {
    if ("encodeText" in model) return runnerOf(model, preprocessing, tower, batch, options)
    throw new UserError(`${name} is an image tower alone`, "leave out --runtime, or convert it")
  })
}

/** Pixels come as they are. */
const unprocessed = { interpolation: "bicubic", mean: [0, 0, 0], std: [1, 1, 1] } as const

function runnerOf(
  model: CheckpointModel,
  preprocessing: Preprocessing,
  tower: TowerName,
  batch: number,
  { device, dtype, threads }: TorchOptions,
): Runner {
  torch.setThreads(threads)
  const encoder = fusedEncoder(model, preprocessing, { device, precision: precisionOf(dtype) })
  const input = towerInput({ imageSize: preprocessing.size, text: model.config.text }, tower, batch)
  const run = async () =>
    input.tower === "image" ? encoder.encodePixels(input.data, batch) : encoder.encodeTokens(input.data, batch)
  return { run, close: async () => encoder.free() }
}
