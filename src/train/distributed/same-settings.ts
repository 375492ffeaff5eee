/** Checks that the processes of a group train on the same data with the same settings. */
import { createHash } from "node:crypto"
import * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import type { Settings } from "../checkpoints/state.ts"
import type { ProcessGroup } from "./process-group.ts"

/**
 * Every rank must call it.
 *
 * @throws UserError on every rank, naming the first setting and rank that differ from rank 0
 */
export function requireSameSettings(settings: Settings, group: ProcessGroup): void {
  const names = Object.keys(settings).sort()
  const own = [hashOf(names), ...names.map((name) => hashOf(settings[name]))]
  const [lengths, ...rest] = gathered([own.length], group)
  const most = Math.max(lengths![0]!, ...rest.map(([length]) => length!))
  const [first, ...others] = gathered([...own, ...Array<number>(most - own.length).fill(0)], group)
  for (const [i, other] of others.entries()) {
    const at = other.findIndex((hash, k) => hash !== first![k])
    if (at < 0) continue
    const name = names[at - 1]
    const what = at === 0 || name === undefined ? "other settings" : `another ${name}`
    const here = name === undefined ? "" : ` (here, on rank ${group.rank}: ${settings[name]})`
    throw new UserError(
      `rank ${i + 1} of ${group.size} has ${what} than rank 0${here}`,
      "all ranks need the same options, and the same data where they read it",
    )
  }
}

/** The values of each rank, in the order of ranks. */
function gathered(values: readonly number[], group: ProcessGroup): number[][] {
  const all = torch.scope(() => {
    const row = torch.tensor(Float64Array.from(values), [1, values.length], { device: group.device })
    return Array.from(group.gather(row).data(), Number)
  })
  return Array.from({ length: group.size }, (_, i) => all.slice(i * values.length, (i + 1) * values.length))
}

/** 48 bits, which a float64 holds exactly. */
function hashOf(value: unknown): number {
  return createHash("sha256").update(JSON.stringify(value)).digest().readUIntBE(0, 6)
}
