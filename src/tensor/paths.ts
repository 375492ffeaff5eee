/** Where in the model an operation stands, for names and error messages: a parameter's path is its module's. */
import { assert } from "../core/errors.ts"
import type { Parameter } from "./parameter.ts"

export class ParameterPaths {
  private readonly paths: ReadonlyMap<Parameter, string>
  /** The module that owns the parameter met last; operations without parameters follow it. */
  module = ""

  /** @param parameters what `Module.namedParameters()` gives */
  constructor(parameters: ReadonlyMap<string, Parameter>) {
    this.paths = new Map(Array.from(parameters, ([path, parameter]) => [parameter, path]))
  }

  /** The path of a parameter, whose module becomes the current one. */
  visit(parameter: Parameter): string {
    const path = this.paths.get(parameter)
    assert(path !== undefined, `a parameter of shape [${parameter.shape}] is not below the module that was named`)
    this.module = path.slice(0, Math.max(0, path.lastIndexOf(".")))
    return path
  }

  /** For messages: `conv2d at image.stem.0`. */
  where(operation: string): string {
    return this.module ? `${operation} at ${this.module}` : operation
  }
}
