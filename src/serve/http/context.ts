/** What the protocols of a server share. */
import type { HttpBindings } from "@hono/node-server"
import type { OpenAPIHono } from "@hono/zod-openapi"
import type { Models } from "../engine/models.ts"
import type { ThumbnailKeys } from "../safety/thumbnail-keys.ts"
import type { ServedIndex } from "../search/served-index.ts"
import type { FetchPicture } from "./content.ts"
import type { RequestError } from "./errors.ts"

export interface Limits {
  /** Bytes of a request's body. */
  readonly bodyBytes: number
  /** Bytes of the bodies of all requests that are under way. */
  readonly bodiesBytes: number
  /** Texts and pictures of a request. */
  readonly parts: number
  /** Pixels of a picture. */
  readonly pixels: number
  /** Seconds that a request may take, reading it included. */
  readonly seconds: number
}

export interface ServeContext {
  readonly models: Models
  /** What is searched; null: this server has none. */
  readonly index: ServedIndex | null
  readonly fetchPicture: FetchPicture
  /** What makes addresses of thumbnails that need no token; null: no token is asked for. */
  readonly thumbnailKeys: ThumbnailKeys | null
  readonly limits: Limits
}

/** What a request's handlers find beside it. */
export interface Variables {
  /** Ends when the client goes away, or the time is over. */
  readonly signal: AbortSignal
}

export interface ServeEnvironment {
  readonly Bindings: HttpBindings
  readonly Variables: Variables
}

export type ServeApp = OpenAPIHono<ServeEnvironment>

/** One of the interfaces that a server speaks. */
export interface Protocol {
  readonly name: string
  /** Whether a path is one of this protocol's. */
  owns(path: string): boolean
  /** The field that holds texts or pictures, where a refusal names fields. */
  readonly content?: string
  /** Its paths that take multipart/form-data, and no JSON. */
  readonly forms?: readonly string[]
  /** Whether its bodies are JSON whatever type they name: its own program does not look at it, and its clients name others. */
  readonly isUntyped?: true
  register(app: ServeApp, context: ServeContext): void
  /** The body of a refusal. */
  errorBody(error: RequestError): object
}
