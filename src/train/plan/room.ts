/** The memory of this machine and of its GPU. */
import { spawnSync } from "node:child_process"
import { totalmem } from "node:os"
import { constrainedMemory } from "node:process"

/** All memory that this process may have, not what is free now. */
export function machineMemory(): number {
  const limit = constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

/** Bytes of the first NVIDIA GPU, as its driver's tool says; null where there is none. */
export function gpuMemory(): number | null {
  const words = ["--query-gpu=memory.total", "--format=csv,noheader,nounits"]
  const { stdout } = spawnSync("nvidia-smi", words, { encoding: "utf8", timeout: 5000 })
  const mebibytes = Number.parseInt(stdout ?? "", 10)
  return mebibytes > 0 ? mebibytes * 2 ** 20 : null
}
