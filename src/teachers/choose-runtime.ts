/**
 * What models run on, as a record for those who read their vectors later; and `--dtype auto`, the choice between float32
 * on ONNX Runtime and bfloat16 on libtorch: the faster one, by a short measurement, where bfloat16 gives the same vectors.
 */
import { asUserError, UserError } from "../core/errors.ts"
import type { ModelDtype, WantedDtype } from "../core/precision.ts"
import { bfloat16Instructions, type ProcessorFeature, processorFeatures } from "../host/processor-features.ts"
import { folderDtype, readClipFolder } from "../run/node.ts"
import { type Comparison, comparePrecisions } from "./compare-precisions.ts"
import type { ModelSource } from "./model-source.ts"
import { type RuntimeOptions, runtimeOf } from "./runtime.ts"

/** What made vectors. */
export interface RuntimeRecord {
  readonly runtime: "onnxruntime" | "libtorch"
  readonly device: "cpu" | "cuda"
  /** Type of the weights; where models differ in it, that of the first. */
  readonly dtype: ModelDtype
  /** "default" where neither type nor runtime was asked for. */
  readonly chosenBy: "user" | "measurement" | "default"
  /** The lowest cosine between bfloat16 and float32 on the self-test's pictures and texts; null where it was not measured. */
  readonly cosine: number | null
  /** Time of a picture through all models as chosen; null where it was not measured. */
  readonly milliseconds: number | null
}

export interface ChooseOptions extends Omit<RuntimeOptions, "dtype"> {
  readonly dtype?: WantedDtype
  /** Default: this processor's. */
  readonly features?: readonly ProcessorFeature[]
  /** Runs the models in both types. Default: `comparePrecisions`. */
  readonly compare?: (sources: readonly ModelSource[], options: Omit<RuntimeOptions, "dtype">) => Promise<Comparison>
}

export interface ChosenRuntime {
  readonly record: RuntimeRecord
  /** To open the models with. */
  readonly options: RuntimeOptions
  /** Why, in a sentence; null where nothing was chosen or measured. */
  readonly reason: string | null
}

/** The lowest cosine at which `auto` takes bfloat16. float16 is held to 0.9999; bfloat16 has 8 bits to its 11. */
export const lowestCosine = 0.999

/**
 * The runtime and the type of models that one ensemble is made of; what the user says is done, and said to be inexact
 * where it is.
 *
 * @throws UserError where no runtime does what is asked for
 */
export async function chooseRuntime(
  sources: readonly ModelSource[],
  { dtype, features = processorFeatures(), compare = comparePrecisions, ...rest }: ChooseOptions,
): Promise<ChosenRuntime> {
  if (dtype !== "auto") return asWished(sources, { ...rest, ...(dtype && { dtype }) }, compare)
  const hindrance = hindranceOf(sources, rest, features)
  if (hindrance !== null) return unchanged(sources, rest, hindrance)
  const compared = await compare(sources, rest).catch(asUserError)
  if (compared instanceof UserError) return unchanged(sources, rest, `bfloat16 cannot be tried: ${compared.message}`)
  return byMeasurement(compared, rest)
}

async function asWished(
  sources: readonly ModelSource[],
  options: RuntimeOptions,
  compare: NonNullable<ChooseOptions["compare"]>,
): Promise<ChosenRuntime> {
  const { device = "cpu", dtype, runtime } = options
  const record = await recordOf(sources, options, dtype || runtime ? "user" : "default")
  if (dtype !== "bf16" || device !== "cpu") return { record, options, reason: null }
  const { cosine, milliseconds } = await compare(sources, { ...options, runtime: "libtorch" })
  const isExact = cosine >= lowestCosine
  return {
    record: { ...record, cosine, milliseconds: milliseconds.bfloat16 },
    options,
    reason: isExact
      ? null
      : `warning: bfloat16 gives vectors whose cosine to float32 is only ${cosine.toFixed(5)} (at least ${lowestCosine} is expected); --dtype fp32 is exact`,
  }
}

/** Why only one type comes into question; null where two do. */
function hindranceOf(
  sources: readonly ModelSource[],
  { device = "cpu", runtime }: RuntimeOptions,
  features: readonly ProcessorFeature[],
): string | null {
  const folder = sources.find(({ kind }) => kind === "directory")
  if (device !== "cpu") return "a type is chosen on the processor only"
  if (runtime === "onnxruntime") return "ONNX Runtime was asked for, which does not compute bfloat16"
  if (folder) return `${folder.name} is a folder of ONNX files, and bfloat16 needs the checkpoint`
  if (bfloat16Instructions(features) === null) return "this processor has neither avx512_bf16 nor amx_bf16"
  return null
}

async function unchanged(
  sources: readonly ModelSource[],
  options: RuntimeOptions,
  why: string,
): Promise<ChosenRuntime> {
  const record = await recordOf(sources, options, "default")
  return { record, options, reason: `--dtype auto: ${record.dtype} on ${nameOf(record)}, because ${why}` }
}

function byMeasurement(
  { cosine, milliseconds }: Comparison,
  { runtime, ...rest }: Omit<RuntimeOptions, "dtype">,
): ChosenRuntime {
  const { float32, bfloat16 } = milliseconds
  const isExact = cosine >= lowestCosine
  const isChosen = isExact && bfloat16 < float32
  const chosen = isChosen
    ? ({ runtime: "libtorch", dtype: "bf16" } as const)
    : ({ runtime: runtime ?? "onnxruntime", dtype: "fp32" } as const)
  const record: RuntimeRecord = {
    ...{ ...chosen, device: "cpu", chosenBy: "measurement", cosine },
    milliseconds: isChosen ? bfloat16 : float32,
  }
  const figures = `a picture takes ${float32.toFixed(1)} ms in float32 and ${bfloat16.toFixed(1)} ms in bfloat16`
  const reason = isExact
    ? `${figures}, cosine ${cosine.toFixed(5)}`
    : `bfloat16 has a cosine of ${cosine.toFixed(5)} to float32, and at least ${lowestCosine} is asked for`
  return {
    record,
    options: { ...rest, ...chosen },
    reason: `--dtype auto: ${chosen.dtype} on ${nameOf(record)}, because ${reason}`,
  }
}

async function recordOf(
  sources: readonly ModelSource[],
  options: RuntimeOptions,
  chosenBy: RuntimeRecord["chosenBy"],
): Promise<RuntimeRecord> {
  const runtimes = sources.map((source) => runtimeOf(source, options))
  const dtype = options.dtype ?? (await dtypeIn(sources[0]!))
  return {
    ...{ runtime: runtimes[0]!, device: options.device ?? "cpu", dtype, chosenBy },
    ...{ cosine: null, milliseconds: null },
  }
}

/** A checkpoint is run in float32 unless told otherwise. */
async function dtypeIn({ kind, path }: ModelSource): Promise<ModelDtype> {
  return kind === "checkpoint" ? "fp32" : folderDtype(await readClipFolder(path))
}

function nameOf({ runtime }: RuntimeRecord): string {
  return runtime === "libtorch" ? "libtorch" : "ONNX Runtime"
}
