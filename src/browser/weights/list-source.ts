/** What a hub or a folder on a server says that a model has. */
import { z } from "zod"
import { isInputError, oneLine, UserError } from "../../core/errors.ts"
import { manifestFile, parseManifest } from "../../core/inference/manifest.ts"
import { isInside } from "../../core/inside.ts"
import { jsonOrNull } from "../../core/json.ts"
import { lengthOf } from "./download.ts"
import type { ListedFile, Listing } from "./listing.ts"
import { type Place, whatMayBeAModel } from "./place.ts"
import { type Asking, ask, askIfThere, withRetries } from "./requests.ts"

export type RemotePlace = Exclude<Place, { kind: "files" }>
type HubPlace = Extract<Place, { kind: "hub" }>

/**
 * @param known what was kept of it, which a repository's commit proves to be true still
 * @throws UserError where there is no model, EnvironmentError where the network stays down
 */
export function listSource(place: RemotePlace, known: Listing | null, asking: Asking): Promise<Listing> {
  return place.kind === "hub" ? listRepository(place, known, asking) : listFolder(place.url, asking)
}

// --------------------------------------------------------------------------------------------------------- folder

async function listFolder(url: string, asking: Asking): Promise<Listing> {
  const manifest = await readManifest(new URL(manifestFile, url).href, asking)
  if (manifest) return { source: url, commit: null, manifest, files: filesOfManifest(manifest, url) }
  const files = await probe(url, asking)
  if (Object.keys(files).length > 0) return { source: url, commit: null, manifest: null, files }
  throw new UserError(
    `there is no model at ${url}: it gives out no ${manifestFile}, and no onnx/ folder`,
    whatMayBeAModel,
  )
}

async function readManifest(url: string, asking: Asking): Promise<unknown> {
  const response = await askIfThere(asking, url, { cache: "no-cache" })
  return response && parseManifest(jsonOrNull(await response.text()), url)
}

function filesOfManifest(manifest: unknown, url: string): Record<string, ListedFile> {
  const { files } = parseManifest(manifest, url)
  const listed = Object.entries(files).map(([name, { bytes, sha256 }]) => {
    return [name, { url: addressIn(url, name), bytes, sha256, tag: null }] as const
  })
  return Object.fromEntries(listed)
}

/** Servers list no folders: names that the layouts of others have are tried. */
async function probe(url: string, asking: Asking): Promise<Record<string, ListedFile>> {
  const found = await Promise.all(
    knownNames.map(async (name) => {
      const address = addressIn(url, name)
      const response = await askIfThere(asking, address, { method: "HEAD", cache: "no-cache" })
      if (!response) return []
      const tag = tagOf(response)
      return [[name, { url: address, bytes: lengthOf(response), sha256: null, tag }] as const]
    }),
  )
  return Object.fromEntries(found.flat())
}

/** What tells a newer version. A page does not see the ETag of another origin, unless its server allows it. */
function tagOf({ headers }: Response): string | null {
  return headers.get("ETag") ?? headers.get("Last-Modified") ?? headers.get("Content-Length")
}

const knownNames = [
  ...["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"],
  ...["vision_model", "vision_model_fp16", "text_model", "text_model_fp16", "model", "model_fp16"].flatMap((name) => [
    `onnx/${name}.onnx`,
    `onnx/${name}.onnx_data`,
  ]),
  ...["visual/model.onnx", "visual/preprocess_cfg.json"],
  ...["textual/model.onnx", "textual/tokenizer.json", "textual/tokenizer_config.json"],
]

function addressIn(url: string, name: string): string {
  return `${url}${name.split("/").map(encodeURIComponent).join("/")}`
}

// ------------------------------------------------------------------------------------------------------------ hub

const commit = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) })

const tree = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size: z.int().nonnegative(),
    oid: z.string(),
    lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/) }).nullish(),
  }),
)

/** A repository that lists more than these pages of a thousand files is not a model's. */
const mostPages = 10

async function listRepository(place: HubPlace, known: Listing | null, asking: Asking): Promise<Listing> {
  const { endpoint, repo, revision } = place
  const api = `${endpoint}/api/models/${repo}`
  const { value } = await readJson(`${api}/revision/${encodeURIComponent(revision)}`, commit, place, asking)
  if (known?.commit === value.sha) return known
  const url = `${endpoint}/${repo}/resolve/${value.sha}/`
  const files: Record<string, ListedFile> = {}
  let next: string | null = `${api}/tree/${value.sha}?recursive=true`
  for (let page = 0; next && page < mostPages; page++) {
    const { value: entries, link }: Answer<z.infer<typeof tree>> = await readJson(next, tree, place, asking)
    for (const { type, path, size, oid, lfs } of entries)
      if (type === "file" && isInside(path))
        files[path] = { url: addressIn(url, path), bytes: size, sha256: lfs?.oid ?? null, tag: oid }
    next = link
  }
  const manifest = manifestFile in files ? await readManifest(files[manifestFile]!.url, asking) : null
  const digests = manifest ? filesOfManifest(manifest, url) : {}
  return { source: `${endpoint}/${repo}`, commit: value.sha, manifest, files: { ...files, ...digests } }
}

interface Answer<T> {
  readonly value: T
  /** The address of the next page. */
  readonly link: string | null
}

async function readJson<T>(
  url: string,
  schema: z.ZodType<T>,
  { repo, endpoint }: HubPlace,
  asking: Asking,
): Promise<Answer<T>> {
  const response = await withRetries(asking, url, () => ask(asking, url, { cache: "no-cache" })).catch((error) => {
    if (!isInputError(error)) throw error
    const hint = `check the name; for a folder of this site write ./${repo}/`
    throw new UserError(`${new URL(endpoint).host} has no public repository ${repo}: ${error.message}`, hint)
  })
  const parsed = schema.safeParse(jsonOrNull(await response.text()))
  const link = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("Link") ?? "")?.[1] ?? null
  if (parsed.success) return { value: parsed.data, link }
  throw new UserError(
    `${url} does not answer as a hub does: ${oneLine(parsed.error.issues[0]!.message)}`,
    whatMayBeAModel,
  )
}
