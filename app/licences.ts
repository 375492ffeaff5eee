/** licences.txt of the built page: each package of which something is in it, with its licence. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Plugin } from "vite"

/** Folders of packages; the page and its workers are bundled one after the other. */
const folders = new Set<string>()

/** For the page and for its workers; the page's own bundle, which is the last, has the file. */
export function licences(kind: "page" | "worker"): Plugin {
  return {
    name: "licences",
    generateBundle(_, bundle) {
      for (const output of Object.values(bundle)) {
        const modules = output.type === "chunk" ? Object.keys(output.modules) : output.originalFileNames
        for (const module of modules) add(module)
      }
      if (kind === "page") this.emitFile({ type: "asset", fileName: "licences.txt", source: text() })
    },
  }
}

function add(module: string): void {
  const [, folder] = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(module) ?? []
  if (folder && !folder.endsWith("/vite") && existsSync(join(folder, "package.json"))) folders.add(folder)
}

function text(): string {
  return [...folders]
    .sort()
    .map(sectionOf)
    .join(`\n${"-".repeat(78)}\n\n`)
}

function sectionOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  const files = [...filesOf(folder), ...filesOf(join(folder, "codec"))]
  const texts = files.length > 0 ? files.map((file) => readFileSync(file, "utf8").trim()) : [withoutFile(name)]
  return [`${name} ${version} (${license})`, ...texts, ""].join("\n\n")
}

function filesOf(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => /^licen[cs]e/i.test(name))
    .map((name) => join(folder, name))
}

/** ONNX Runtime's packages say MIT, and have no text. */
function withoutFile(name: string): string {
  if (!name.startsWith("onnxruntime-")) throw new Error(`${name} is in the page, and has no file with its licence`)
  const ours = readFileSync(fileURLToPath(new URL("../LICENSE", import.meta.url)), "utf8")
  const terms = ours.slice(ours.indexOf("Permission is hereby granted"))
  const others = "What it is built of: https://github.com/microsoft/onnxruntime/blob/main/ThirdPartyNotices.txt"
  return `MIT License\n\nCopyright (c) Microsoft Corporation\n\n${terms.trim()}\n\n${others}`
}
