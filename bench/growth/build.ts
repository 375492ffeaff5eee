/** A build of the package, this one or an older one: its modules are found by the paths that it has. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

/** A build lacks what a row measures. */
export class NotThere extends Error {
  override readonly name = "NotThere"
}

export class Build {
  /** @param dist the folder of compiled files, `dist` */
  constructor(readonly dist: string) {}

  has(path: string): boolean {
    return existsSync(join(this.dist, path))
  }

  /** The first of the modules that is there: where it is now, then where it was. Throws NotThere where none is. */
  async load<Module>(...paths: readonly string[]): Promise<Module> {
    const found = paths.find((path) => this.has(path))
    if (found === undefined) throw new NotThere(paths.join(" or "))
    return import(pathToFileURL(join(this.dist, found)).href)
  }

  get command(): string {
    return join(this.dist, "../bin/mobileclip.js")
  }
}
