/**
 * Finds libtorch on this machine: the folder in `LIBTORCH`, an importable Python torch, the system's, Homebrew's.
 * Libraries and headers come from one built, so two libtorch on a machine cannot be mixed.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { UserError } from "../src/core/errors.ts"

export interface Libtorch {
  /** How it was found: "LIBTORCH", "Python's torch", "the system's", "Homebrew's". */
  readonly origin: string
  /** The folder of libtorch_cpu and the others. */
  readonly lib: string
  readonly includes: readonly string[]
  /** From its header: "1.13.0", "2.13.0". */
  readonly version: string
  readonly cuda: boolean
  /** Whether it was compiled with GCC's C++11 strings; wheels before 2.6 were not. */
  readonly cxx11Abi: boolean
}

/**
 * @returns null when there is none
 * @throws UserError when `LIBTORCH` is set to something else than a libtorch
 */
export function findLibtorch(env: NodeJS.ProcessEnv = process.env): Libtorch | null {
  if (env.LIBTORCH) return inspect(resolve(env.LIBTORCH), "LIBTORCH")
  for (const [origin, root] of candidates()) {
    if (isLibtorch(root)) return inspect(root, origin)
  }
  return null
}

function* candidates(): Generator<[origin: string, root: string]> {
  for (const python of ["python3", "python"]) {
    const root = pythonTorch(python)
    if (root) yield ["Python's torch", root]
  }
  yield ["the system's", "/usr/local"]
  yield ["the system's", "/usr"]
  const prefix = output("brew", ["--prefix", "pytorch"])
  if (prefix) yield ["Homebrew's", prefix]
}

/** The folder of the torch package, found without importing it (that takes seconds). */
function pythonTorch(python: string): string | null {
  const script = "import importlib.util as u; s = u.find_spec('torch'); print(s.origin or '' if s else '')"
  const origin = output(python, ["-c", script])
  return origin ? dirname(origin) : null
}

/** What a program prints, or null where it is missing or fails. Runs outside the project: Python imports from there. */
function output(program: string, args: readonly string[]): string | null {
  try {
    return execFileSync(program, args, { cwd: tmpdir(), encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()
  } catch {
    return null
  }
}

const suffix = process.platform === "darwin" ? "dylib" : "so"

function libraryFolder(root: string): string | undefined {
  const lib = join(root, "lib")
  const multiarch = existsSync(lib) ? readdirSync(lib).filter((name) => name.endsWith("-linux-gnu")) : []
  const folders = [lib, join(root, "lib64"), ...multiarch.map((name) => join(lib, name))]
  return folders.find((folder) => existsSync(join(folder, `libtorch_cpu.${suffix}`)))
}

function headerFolders(root: string): string[] {
  return [join(root, "include"), join(root, "include/torch/csrc/api/include")]
}

function hasHeaders(root: string): boolean {
  const [include, api] = headerFolders(root) as [string, string]
  return existsSync(join(include, "ATen/core/Tensor.h")) && existsSync(join(api, "torch/version.h"))
}

function isLibtorch(root: string): boolean {
  return libraryFolder(root) !== undefined && hasHeaders(root)
}

function inspect(root: string, origin: string): Libtorch {
  const lib = libraryFolder(root)
  if (!existsSync(root)) throw notLibtorch(root, origin, "does not exist")
  if (!lib) throw notLibtorch(root, origin, `has no lib/libtorch_cpu.${suffix}`)
  if (!hasHeaders(root)) throw notLibtorch(root, origin, "has no include/ATen and torch/version.h")
  const includes = headerFolders(root)
  return {
    origin,
    lib,
    includes,
    version: headerVersion(includes),
    cuda: existsSync(join(lib, `libtorch_cuda.${suffix}`)),
    cxx11Abi: usesCxx11Abi(lib),
  }
}

function notLibtorch(root: string, origin: string, what: string): UserError {
  const hint = `set ${origin} to a folder with lib/ and include/, as in libtorch's zip or Python's torch folder`
  return new UserError(`${origin}=${root} is not a libtorch: it ${what}`, hint)
}

function headerVersion(includes: readonly string[]): string {
  const [include, api] = includes as [string, string]
  for (const file of [join(api, "torch/version.h"), join(include, "torch/headeronly/version.h")]) {
    const text = existsSync(file) ? readFileSync(file, "utf8") : ""
    const version = /#define\s+TORCH_VERSION\s*\\?\s*"([^"]+)"/.exec(text)?.[1]
    if (version) return version
  }
  throw new UserError(`${api}/torch/version.h does not tell libtorch's version`, "is the installation complete?")
}

/** The constructor of c10::Error takes a string: `Ss` is the old one in its mangled name. */
function usesCxx11Abi(lib: string): boolean {
  if (process.platform !== "linux") return true
  return !readFileSync(join(lib, "libc10.so")).includes("_ZN3c105ErrorC2ENS_14SourceLocationESs")
}
