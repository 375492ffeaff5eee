/** A process of its own: from its start to the first vector of one tower. It prints what that took as JSON. */
import { peakMemory } from "../../host/peak-memory.ts"
import { openTower, type RunOptions, type TowerPlace } from "./runner.ts"

/** What the process prints. */
export interface ColdStart {
  /** From the start of the process to the first vector. */
  readonly milliseconds: number
  /** What the process was resident in at its worst. */
  readonly peakBytes: number
}

const [place, options]: [TowerPlace, RunOptions] = JSON.parse(process.argv[2]!)
const runner = await openTower(place, options)
await runner.run()
const found: ColdStart = { milliseconds: performance.now(), peakBytes: peakMemory() }
// Destructors take time, and on some devices they fail.
process.stdout.write(JSON.stringify(found), () => process.exit(0))
