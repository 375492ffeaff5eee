/** Imported into a process that is measured: at its end it writes how much memory it took, in bytes, to the pipe 3. */
import { writeSync } from "node:fs"
import { peakMemory } from "../../src/host/peak-memory.ts"

process.on("exit", () => writeSync(3, String(peakMemory())))
