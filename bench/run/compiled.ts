/** Where the code of processes is: compiled, also where this module runs as TypeScript, as in tests. */
import { fileURLToPath } from "node:url"

const here = new URL("./", import.meta.url).href
const folder = import.meta.url.endsWith(".ts") ? here.replace(/\/bench\/run\/$/, "/dist/bench/run/") : here

/** The file `name`.js of this folder. */
export function compiled(name: string): string {
  return fileURLToPath(new URL(`${name}.js`, folder))
}

/** The package's own command. */
export const command = fileURLToPath(new URL("../../../bin/mobileclip.js", folder))
