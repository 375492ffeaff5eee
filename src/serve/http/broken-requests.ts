/**
 * What Node refuses before a request is whole: bytes that are not HTTP, headers beyond their limit, what does not come in time. It is
 * answered as other requests are, and written down once: here, or with the request whose body broke.
 */
import { type IncomingMessage, maxHeaderSize, type Server, type ServerResponse, STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import { RequestError } from "./errors.ts"
import type { RequestRecord } from "./metrics.ts"

export interface BrokenRequestsOptions {
  /** In the shape of the protocol that the path belongs to; null: no path is known. */
  readonly errorBody: (error: RequestError, path: string | null) => object
  readonly onRequest: (record: RequestRecord) => void
}

interface Connection {
  /** When it began to wait for the request that comes next. */
  since: number
  last: IncomingMessage | null
  /** In the order in which they are sent. */
  readonly answers: Set<ServerResponse>
}

/** With what requests were refused whose handler was at work. */
const refused = new WeakMap<object, number>()

/** The status that Node's refusal of its body gave an answer, where there was one. */
export function statusOfBroken(answer: object): number | undefined {
  return refused.get(answer)
}

/** From now on such requests are answered with a body, and connections that are gone are left alone. */
export function answerBrokenRequests(server: Server, options: BrokenRequestsOptions): void {
  const connections = new WeakMap<Socket, Connection>()
  server.prependListener("connection", (socket) => {
    connections.set(socket, { since: performance.now(), last: null, answers: new Set() })
  })
  server.prependListener("request", (request, answer: ServerResponse) => {
    const connection = connections.get(request.socket)
    if (connection) follow(connection, request, answer)
  })
  server.on("clientError", (error, stream) => {
    const socket = stream as Socket
    const connection = connections.get(socket)
    if (connection && socket.writable) refuse(error, socket, connection, options)
    socket.destroySoon()
  })
}

function follow(connection: Connection, request: IncomingMessage, answer: ServerResponse): void {
  connection.last = request
  connection.answers.add(answer)
  answer.once("close", () => {
    connection.answers.delete(answer)
    connection.since = performance.now()
  })
}

function refuse(
  error: Broken,
  socket: Socket,
  connection: Connection,
  { errorBody, onRequest }: BrokenRequestsOptions,
) {
  const answer = [...connection.answers].find(({ writableFinished }) => !writableFinished)
  // A second answer would be taken for that to the next request.
  if (answer ? answer.headersSent : connection.last?.complete === false) return
  const told = refusalOf(error, answer !== undefined)
  const path = answer?.req.url?.split("?")[0] ?? null
  socket.end(message(told.status, errorBody(told, path)))
  const status = hasEnded(error) ? new RequestError("gone", "").status : told.status
  if (answer) refused.set(answer, status)
  // Browsers open connections for requests that may follow.
  else if (socket.bytesRead > 0)
    onRequest({ method: null, route: "*", status, milliseconds: performance.now() - connection.since })
}

function message(status: number, body: object): string {
  const text = JSON.stringify(body)
  const headers = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Date: ${new Date().toUTCString()}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Connection: close",
  ]
  return `${headers.join("\r\n")}\r\n\r\n${text}`
}

type Broken = Error & { readonly code?: string; readonly reason?: string }

/** The client closed its side: it may be gone, or wait for an answer. */
function hasEnded({ code }: Broken): boolean {
  return code === "HPE_INVALID_EOF_STATE"
}

function refusalOf(error: Broken, isBody: boolean): RequestError {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return new RequestError(
        "headers",
        `the headers have more than ${maxHeaderSize} bytes: send fewer, or shorter ones`,
      )
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new RequestError("tooLarge", "a chunk has extensions of more than 16 kB: leave them out")
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new RequestError("slow", `the ${isBody ? "body" : "headers"} did not come in time: send all at once`)
    default:
      return new RequestError(
        "invalid",
        hasEnded(error) ? early : `${notHttp}${error.reason ? ` (${error.reason})` : ""}`,
      )
  }
}

const early = "the connection ended before the request did: send the whole request"
const notHttp = "a request of HTTP/1.1 is expected, and this is not one: send it by an HTTP client"
