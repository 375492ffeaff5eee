/** Where the code of processes is: compiled, also where this module runs as TypeScript, as in tests. */
import { fileURLToPath } from "node:url"

const here = new URL("./", import.meta.url).href
const folder = import.meta.url.endsWith(".ts") ? here.replace(/\/bench\/growth\/$/, "/dist/bench/growth/") : here

/** The build that this program belongs to. */
export const ownDist = fileURLToPath(new URL("../../", folder))

export const measureProcess = fileURLToPath(new URL("measure-process.js", folder))

/** Imported into a command: it tells what the command took. */
export const atExit = new URL("figures-at-exit.js", folder).href
