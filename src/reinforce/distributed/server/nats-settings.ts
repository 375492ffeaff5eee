/**
 * Where the NATS server is and how to sign in: options first, then the variables that the `nats` command reads.
 * A user, password or token may stand in the URL; `tls://` asks for encryption.
 */
import { quoted, UserError } from "../../../core/errors.ts"
import { readBytes, requireSmall } from "../../../host/files/files.ts"
import { withoutCredentials } from "../../../host/network/address.ts"

type Environment = Readonly<Record<string, string | undefined>>

export interface NatsSettings {
  /** `host:port` of each server of the cluster. */
  readonly servers: readonly string[]
  readonly tls: TlsSettings | null
  readonly user: string | null
  readonly password: string | null
  readonly token: string | null
  /** Path of a credentials file. */
  readonly credentials: string | null
}

interface TlsSettings {
  /** PEM; null for the system's authorities, or where the client shows no certificate. */
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
}

const defaultPort = "4222"

/**
 * @param url one server or several of one cluster, separated by commas: `nats://user:password@host:4222`
 * @throws UserError for an address that cannot be one, or a certificate that cannot be read
 */
export async function natsSettings(url: string | undefined, env: Environment): Promise<NatsSettings> {
  const text = url || env.NATS_URL
  if (!text) throw new UserError("no NATS server is given", "pass --nats nats://HOST:4222, or set NATS_URL")
  const urls = text.split(",").map((part) => parseUrl(part.trim(), text))
  const [first] = urls as [URL]
  const name = decoded(first.username, first)
  const password = decoded(first.password, first)
  return {
    servers: urls.map(({ hostname, port }) => `${hostname}:${port || defaultPort}`),
    tls: await tlsSettings(urls, env),
    user: password ? name : (env.NATS_USER ?? null),
    password: password ?? env.NATS_PASSWORD ?? null,
    // `nats://token@host`: a name without a password
    token: password ? null : (name ?? env.NATS_TOKEN ?? null),
    credentials: env.NATS_CREDS || null,
  }
}

/** @param list all addresses: a password with a comma in it is torn apart, and its parts are not told from others */
function parseUrl(text: string, list: string): URL {
  const address = text.includes("://") ? text : `nats://${text}`
  const url = URL.canParse(address) ? new URL(address) : null
  if (url && ["nats:", "tls:"].includes(url.protocol) && url.hostname) return url
  throw new UserError(
    `${quoted(list.includes("@") ? withoutCredentials(list) : text)} is not an address of a NATS server`,
    "it looks like nats://HOST:4222 or tls://HOST:4222",
  )
}

/** A name or a password as it is meant. */
function decoded(text: string, url: URL): string | null {
  try {
    return decodeURIComponent(text) || null
  } catch {
    throw new UserError(
      `the name or the password in the NATS address of ${quoted(url.host)} has a % that does not begin a code`,
      "write it as %25",
    )
  }
}

async function tlsSettings(urls: readonly URL[], env: Environment): Promise<TlsSettings | null> {
  const { NATS_CA, NATS_CERT, NATS_KEY } = env
  if (!NATS_CA && !NATS_CERT && !urls.some(({ protocol }) => protocol === "tls:")) return null
  return { ca: await readPem(NATS_CA), cert: await readPem(NATS_CERT), key: await readPem(NATS_KEY) }
}

async function readPem(path: string | undefined): Promise<string | null> {
  return path ? new TextDecoder().decode(await readBytes(path, requireSmall(path, 2 ** 22))) : null
}
