/** Where the code of a thread or a process is. */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { UserError } from "../core/errors.ts"

/**
 * The file `name`.js beside the module. Threads and processes run compiled code, so where the module is TypeScript, as in
 * tests, it is the file in `dist/`. Throws UserError where it is not built.
 *
 * @param module `import.meta.url` of a file below `src/`
 */
export function workerFile(module: string, name: string): URL {
  const compiled = module.endsWith(".ts") ? module.replace(/\/src\/(?!.*\/src\/)/, "/dist/src/") : module
  const url = new URL(`${name}.js`, compiled)
  if (existsSync(url)) return url
  throw new UserError(
    `${name}.js, the code of a thread or a process, is not built: ${fileURLToPath(url)} is missing`,
    module.endsWith(".ts") ? "npm run build" : "the installation is not complete: install mobileclip again",
  )
}
