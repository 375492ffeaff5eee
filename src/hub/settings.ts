/** Where the hub, its token and the shared cache are: options first, then the variables that Hugging Face's tools read. */
import { join, resolve } from "node:path"
import { UserError } from "../core/errors.ts"
import { defaultHub } from "../core/hub-address.ts"
import { readBytes, requireSmall } from "../host/files/files.ts"
import { webAddress } from "../host/network/address.ts"
import { expandHome, homeFolder } from "../native/own-cache.ts"

export type Environment = Readonly<Record<string, string | undefined>>

export interface HubSettings {
  /** Address of the hub, without a slash at its end. */
  readonly endpoint: string
  readonly token: string | null
  /** Where the token came from, for messages. */
  readonly tokenSource: string | null
  /** The folder with `models--owner--name`. */
  readonly cacheDir: string
  readonly offline: boolean
  /** The answer, and every further piece of it, must come within this many seconds. */
  readonly timeoutSeconds: number
}

export interface HubOptions {
  readonly endpoint?: string | undefined
  readonly token?: string | undefined
  readonly cacheDir?: string | undefined
  readonly offline?: boolean | undefined
}

/** Python's default is 10; a CDN that has to fetch the file first may take longer. */
const defaultTimeoutSeconds = 30

/** @throws UserError for an address or token that cannot be one */
export async function hubSettings(options: HubOptions, env: Environment): Promise<HubSettings> {
  const { token, tokenSource } = await findToken(options.token, env)
  return {
    endpoint: endpointOf(options.endpoint ?? (env.HF_ENDPOINT || defaultHub)),
    token,
    tokenSource,
    cacheDir: options.cacheDir ? resolve(options.cacheDir) : defaultCacheDir(env),
    offline: options.offline ?? isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    timeoutSeconds: Number(env.HF_HUB_DOWNLOAD_TIMEOUT) || defaultTimeoutSeconds,
  }
}

/** The cache that Python's huggingface_hub, and so open_clip and timm, use. */
export function defaultCacheDir(env: Environment): string {
  return expandHome(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home(env), "hub"))
}

function home(env: Environment): string {
  return expandHome(env.HF_HOME || join(env.XDG_CACHE_HOME || join(homeFolder(), ".cache"), "huggingface"))
}

function endpointOf(text: string): string {
  webAddress(text, "the hub's address", "check HF_ENDPOINT; a token belongs in HF_TOKEN")
  return text.replace(/\/+$/, "")
}

/** The option, HF_TOKEN and its older names, then the file that `hf auth login` writes. */
async function findToken(option: string | undefined, env: Environment) {
  const variables = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ACCESS_TOKEN"]
  const named = variables.find((name) => env[name]?.trim())
  const path = expandHome(env.HF_TOKEN_PATH || join(home(env), "token"))
  if (option?.trim()) return checkToken(option, "--token")
  if (named) return checkToken(env[named]!, named)
  const text = await readIfThere(path)
  return text?.trim() ? checkToken(text, path) : { token: null, tokenSource: null }
}

/** A header takes printable ASCII only; the token itself is never shown. */
function checkToken(text: string, tokenSource: string) {
  const token = text.trim()
  if (/^[\x21-\x7e]+$/.test(token)) return { token, tokenSource }
  throw new UserError(
    `${tokenSource} holds no token: it has spaces or letters that no token has`,
    "it looks like hf_...",
  )
}

/** A token has less than a hundred characters. */
const mostBytes = 2 ** 16

async function readIfThere(path: string): Promise<string | null> {
  try {
    return new TextDecoder().decode(await readBytes(path, requireSmall(path, mostBytes)))
  } catch (error) {
    const { code = "" } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
    if (error instanceof UserError && ["ENOENT", "ENOTDIR"].includes(code)) return null
    throw error
  }
}

function isTrue(text: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes(text?.toUpperCase() ?? "")
}
