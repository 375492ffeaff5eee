/** The rows of a benchmark: each tower on each device, in each type, at each batch, as far as this machine computes it. */
import { EnvironmentError, messageOf, UserError } from "../../core/errors.ts"
import type { ClipConfig } from "../../core/family/variants.ts"
import { towers as towerNames } from "../../core/inference/manifest.ts"
import type { ModelDtype, OnnxDtype } from "../../core/precision.ts"
import type { TowerName } from "../../export/towers.ts"
import { towerBytes } from "./generated.ts"
import type { Settled } from "./options.ts"
import { openProducts, PeakProbe, productsFor } from "./peak.ts"
import { openTower, type Runner, type RunOptions, type TowerPlace } from "./runner.ts"
import type { Subject } from "./subjects.ts"

/** What is measured once. */
export interface BenchRow {
  readonly subject: Subject
  readonly device: RunOptions["device"]
  readonly dtype: ModelDtype
  readonly batch: number
  /** The matrix product on this device and in this type. */
  readonly probe: PeakProbe
}

// ------------------------------------------------------------------------------------------------- what computes here

/** The matrix products that are open. */
export class Probes implements AsyncDisposable {
  private readonly opened = new Map<string, PeakProbe>()

  constructor(private readonly options: Settled) {}

  /** What cannot compute is left out, with a note. */
  async open(device: RunOptions["device"], dtype: ModelDtype, folder: string): Promise<void> {
    try {
      this.opened.set(keyOf(device, dtype), await openProbe(device, dtype, folder, this.options))
    } catch (error) {
      // A full disk is not a want of the processor.
      if (error instanceof EnvironmentError) throw error
      const { cause = error } = error as Error
      this.options.note(`${dtype} on ${device} is left out, because it does not run here: ${messageOf(cause)}`)
    }
  }

  /** Throws UserError where there are none. */
  combine(subjects: readonly Subject[]): BenchRow[] {
    const { devices, batches } = this.options
    const rows = subjects.flatMap((subject) =>
      devices.flatMap((device) =>
        dtypesOf(subject, this.options).flatMap((dtype) => {
          const probe = this.opened.get(keyOf(device, dtype))
          return probe ? batches.map((batch): BenchRow => ({ subject, device, dtype, batch, probe })) : []
        }),
      ),
    )
    if (rows.length > 0) return rows
    throw new UserError("nothing of what is to be measured runs on this machine", "`mobileclip doctor` says what does")
  }

  /** The highest rate of all. */
  best(): number {
    return Math.max(...[...this.opened.values()].map(({ best }) => best))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const probe of this.opened.values()) await probe.close()
  }
}

export async function openProbes(subjects: readonly Subject[], folder: string, options: Settled): Promise<Probes> {
  const probes = new Probes(options)
  const dtypes = new Set(subjects.flatMap((subject) => dtypesOf(subject, options)))
  for (const device of options.devices) for (const dtype of dtypes) await probes.open(device, dtype, folder)
  if (options.runtime === "onnxruntime" && options.devices.includes("cpu") && dtypes.has("fp16") && !hasHalf) {
    options.note(
      "fp16 on cpu: ONNX Runtime has no float16 arithmetic for this processor and converts to float32; the times are of that",
    )
  }
  return probes
}

/** ONNX Runtime's processor kernels for float16 are for 64-bit ARM. */
const hasHalf = process.arch === "arm64"

async function openProbe(
  device: RunOptions["device"],
  dtype: ModelDtype,
  folder: string,
  { runtime, threads }: Settled,
): Promise<PeakProbe> {
  const products = productsFor(device)
  if (runtime === "onnxruntime") {
    return PeakProbe.of(products, await openProducts(products, folder, dtype as OnnxDtype, { threads, device }))
  }
  const { openTorchProducts } = await import("./libtorch.ts")
  return PeakProbe.of(products, openTorchProducts(products, { threads, dtype, device: torchDevice(device) }))
}

function dtypesOf({ source }: Subject, { dtypes }: Settled): readonly ModelDtype[] {
  return source.kind === "folder" ? [source.dtype] : (dtypes ?? ["fp32"])
}

function keyOf(device: string, dtype: string): string {
  return `${device} ${dtype}`
}

function torchDevice(device: RunOptions["device"]): "cpu" | "cuda" {
  return device === "cuda" ? "cuda" : "cpu"
}

// ------------------------------------------------------------------------------------------------------- their towers

/** A tower that is generated as an ONNX file. */
interface GeneratedFile {
  readonly config: ClipConfig
  readonly tower: TowerName
  readonly dtype: OnnxDtype
  readonly file: string
  readonly bytes: number
}

/** One for each tower and type. */
export function generatedFiles(rows: readonly BenchRow[]): GeneratedFile[] {
  const files = rows.flatMap((row): [string, GeneratedFile][] => {
    const { source, tower, cost } = row.subject
    if (source.kind !== "generated") return []
    const [file, dtype] = [generatedFile(row), row.dtype as OnnxDtype]
    return [[file, { config: source.config, tower, dtype, file, bytes: towerBytes(cost?.parameters ?? 0, dtype) }]]
  })
  return [...new Map(files).values()]
}

function generatedFile({ subject: { models, tower }, dtype }: BenchRow): string {
  return `${models[0]}-${tower}-${dtype}.onnx`
}

/** @param generated the folder of the generated files */
export function placeOf(row: BenchRow, generated: string): TowerPlace {
  const { source, tower } = row.subject
  switch (source.kind) {
    case "generated": {
      const { imageSize, text } = source.config
      const sizes = { imageSize, contextLength: text.contextLength }
      return { tower, directory: generated, ...towerNames[tower], file: generatedFile(row), ...sizes }
    }
    case "folder": {
      const { directory, description, image, text } = source.folder
      const sizes = { imageSize: description.preprocessing.size, contextLength: description.contextLength ?? 77 }
      const { input, output } = description[tower]!
      return { tower, directory, file: tower === "image" ? image : text!, input, output, ...sizes }
    }
    case "checkpoint":
      throw new Error("a checkpoint has no ONNX file")
    default:
      return source satisfies never
  }
}

/** The row's tower, loaded. */
export async function openRow(row: BenchRow, generated: string, { runtime, threads }: Settled): Promise<Runner> {
  const { batch, device, dtype, subject } = row
  const { source, tower } = subject
  if (runtime === "onnxruntime" || source.kind === "folder") {
    return openTower(placeOf(row, generated), { batch, device, threads })
  }
  const { openTorchTower } = await import("./libtorch.ts")
  return openTorchTower(source, tower, batch, { threads, dtype, device: torchDevice(device) })
}
