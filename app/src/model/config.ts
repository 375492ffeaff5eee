/** What the page's host says of itself in app/config.json; a host of plain files need not have one. */

export interface NamedModel {
  readonly name: string
  /** Absolute. */
  readonly url: string
}

export interface HostConfig {
  readonly models: readonly NamedModel[]
  /** Whether the server searches an index of its own. */
  readonly hasIndex: boolean
  /** Whether the host's policy lets the page fetch models from other addresses. */
  readonly takesAddresses: boolean
  /** Whether the host refused because it was given no token, or a wrong one. */
  readonly wantsToken: boolean
}

export const nothing: HostConfig = { models: [], hasIndex: false, takesAddresses: true, wantsToken: false }

export async function readConfig(): Promise<HostConfig> {
  const address = new URL("./app/config.json", document.baseURI)
  try {
    const response = await fetch(address, { cache: "no-cache" })
    if (response.status === 401) return { ...nothing, takesAddresses: false, wantsToken: true }
    if (!response.ok) return nothing
    return parseConfig(await response.json(), address)
  } catch {
    // No network, or a page in its place: the page works without.
    return nothing
  }
}

function parseConfig(value: unknown, address: URL): HostConfig {
  const { models, index, addresses } = Object(value) as { models?: unknown; index?: unknown; addresses?: unknown }
  const listed = Array.isArray(models) ? models.filter(isNamed) : []
  return {
    models: listed.map(({ name, url }) => ({ name, url: new URL(url, address).href })),
    hasIndex: index === true,
    takesAddresses: addresses !== false,
    wantsToken: false,
  }
}

function isNamed(value: unknown): value is { name: string; url: string } {
  const { name, url } = Object(value) as Record<string, unknown>
  return typeof name === "string" && typeof url === "string" && URL.canParse(url, document.baseURI)
}
