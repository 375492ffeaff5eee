/** What a plan needs to know of the data and of this machine. */
import { devices } from "../../../torch/index.ts"
import { precisionOf } from "../../core/precision.ts"
import type { Recipe } from "../recipe/schema.ts"
import { matmulRate } from "./calibrate.ts"
import type { GpuName } from "./gpus.ts"
import type { Room } from "./memory.ts"
import type { PlanFacts } from "./plan.ts"
import { gpuMemory, machineMemory } from "./room.ts"
import { dataFacts } from "./storage.ts"

interface PlanPlace {
  readonly device: "cpu" | "cuda" | "mps"
  readonly threads: number
  /** Processes over all machines. */
  readonly ranks: number
  /** Processes on this machine. */
  readonly nproc: number
  /** Pairs a second over all ranks; null: a product is timed on this machine. */
  readonly samplesPerSecond: number | null
  /** The GPU that is planned for; null: this machine. */
  readonly gpu: GpuName | null
}

/** @param known what was found out about the model, and of the data where they were counted */
export async function planFacts(
  recipe: Recipe,
  place: PlanPlace,
  known: Pick<PlanFacts, "model" | "samples">,
): Promise<PlanFacts> {
  const room = place.gpu === null ? roomHere(place) : null
  return {
    ...known,
    ranks: place.ranks,
    ...(await dataFacts(recipe)),
    ...(place.gpu !== null && { gpu: place.gpu }),
    ...(room && { room }),
    ...rateHere(recipe, place),
  }
}

/** The processes of a machine share its memory; each has a GPU of its own. */
function roomHere({ device, nproc }: PlanPlace): Room | null {
  if (device !== "cuda") return { bytes: machineMemory() / nproc, place: "cpu" }
  const bytes = gpuMemory()
  return bytes === null ? null : { bytes, place: "gpu" }
}

/** Empty where this machine does not have the device, or another GPU is planned for. */
function rateHere({ precision }: Recipe, place: PlanPlace): Pick<PlanFacts, "matmulRate" | "samplesPerSecond"> {
  const { device, threads, samplesPerSecond, gpu } = place
  if (samplesPerSecond !== null) return { samplesPerSecond }
  if (gpu !== null || !devices().includes(device)) return {}
  return { matmulRate: matmulRate({ device, threads, precision: precisionOf(precision) }) }
}
