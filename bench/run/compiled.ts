/** Where the code of a process is: compiled, also where this module runs as TypeScript, as in tests. */
import { fileURLToPath } from "node:url"

const bench = new URL("./", import.meta.url).href

/** The file `name`.js of this folder. */
export function compiled(name: string): string {
  return fileURLToPath(
    new URL(
      `${name}.js`,
      import.meta.url.endsWith(".ts") ? bench.replace(/\/bench\/run\/$/, "/dist/bench/run/") : bench,
    ),
  )
}

/** The package's own command. */
export const command = fileURLToPath(new URL("../../../bin/mobileclip.js", new URL(`file://${compiled("x")}`)))
