/** Where downloaded models lie, and what the environment says of the hub. A token is never shown. */
import { existsSync } from "node:fs"
import { readFile, statfs } from "node:fs/promises"
import { homedir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { type Check, checksOf } from "./check.ts"

const { ok, warning, problem } = checksOf("Model hub")

type Environment = Readonly<Record<string, string | undefined>>

export async function hubChecks(env: Environment = process.env): Promise<Check[]> {
  return [await cacheCheck(cacheFolder(env)), endpointCheck(env), offlineCheck(env), await tokenCheck(env)]
}

/** A download of the largest models. */
const ENOUGH = 2 * 2 ** 30

async function cacheCheck(folder: string): Promise<Check> {
  const { bavail, bsize } = await statfs(nearestExisting(folder))
  const facts = { folder, freeBytes: bavail * bsize }
  const text = `${folder}, ${((bavail * bsize) / 2 ** 30).toFixed(1)} GiB free`
  if (bavail * bsize >= ENOUGH) return ok("cache", text, { facts })
  return warning("cache", text, { fix: "the larger models take 2 GB: free some space, or set HF_HOME", facts })
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path))
}

function endpointCheck({ HF_ENDPOINT: text }: Environment): Check {
  const endpoint = text || "https://huggingface.co"
  const facts = { endpoint }
  const { protocol } = URL.canParse(endpoint) ? new URL(endpoint) : { protocol: "" }
  if (/^https?:$/.test(protocol)) return ok("endpoint", `${endpoint}${text ? " (HF_ENDPOINT)" : ""}`, { facts })
  return problem("endpoint", `HF_ENDPOINT="${endpoint}" is no http or https address`, {
    fix: "correct or unset it",
    facts,
  })
}

function offlineCheck(env: Environment): Check {
  const offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].find((name) => isTrue(env[name]))
  const facts = { offline: offline !== undefined }
  if (!offline) return ok("downloads", "allowed", { facts })
  return warning("downloads", `not allowed: ${offline} is set`, { fix: `unset ${offline} to download models`, facts })
}

async function tokenCheck(env: Environment): Promise<Check> {
  const variable = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ACCESS_TOKEN"].find((name) => env[name]?.trim())
  const file = expand(env.HF_TOKEN_PATH || join(homeFolder(env), "token"))
  const inFile = await readFile(file, "utf8").catch(() => "")
  const source = variable ?? (inFile.trim() ? file : null)
  return ok("token", source ? `found (${source})` : "none; public models need none", { facts: { source } })
}

/** The cache that Python's huggingface_hub uses. */
function cacheFolder(env: Environment): string {
  return expand(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(homeFolder(env), "hub"))
}

function homeFolder(env: Environment): string {
  return expand(env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"))
}

function expand(path: string): string {
  return resolve(path.replace(/^~(?=$|[/\\])/, homedir()))
}

function isTrue(text: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes(text?.toUpperCase() ?? "")
}
