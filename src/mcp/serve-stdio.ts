/** The server on standard input and output, until its client goes. */
import { Writable } from "node:stream"
import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import { UserError } from "../core/errors.ts"

/** Bytes of one message: a line without an end must not fill the memory. */
const longestMessage = 16 * 2 ** 20

/** Once standard input has ended, for the answers that are under way. */
const lastMilliseconds = 60_000

/**
 * Serves until standard input ends and what was asked is answered, the client closes, or `signal` aborts. Standard output carries
 * the protocol alone: whatever else is printed meanwhile, by a library too, goes to standard error.
 *
 * @throws UserError where a message is too large to be read, after which nothing more can be
 */
export async function serveStdio(server: McpServer, signal?: AbortSignal): Promise<void> {
  const { stdin, stdout } = process
  const write = stdout.write
  const protocol = new Writable({
    write: (chunk, _encoding, done) => {
      write.call(stdout, chunk, undefined, done)
    },
  })
  stdout.write = process.stderr.write.bind(process.stderr) as typeof stdout.write
  try {
    const transport = new CountingTransport(stdin, protocol, { maxBufferSize: longestMessage })
    // The client has gone, and nobody reads an answer.
    const gone = new Promise<"gone">((resolve) => {
      protocol.on("error", () => resolve("gone"))
      signal?.addEventListener("abort", () => resolve("gone"), { once: true })
    })
    const end = new Promise<"input" | "transport">((resolve) => {
      server.server.onclose = () => resolve("transport")
      for (const event of ["end", "close"]) stdin.once(event, () => resolve("input"))
    })
    await server.connect(transport)
    transport.count()
    const reason = signal?.aborted ? "gone" : await Promise.race([end, gone])
    if (reason === "transport") throw tooLarge()
    if (reason === "input") await Promise.race([transport.answered(), gone])
    await server.close()
  } finally {
    stdout.write = write
    stdin.unref?.()
  }
}

/** The transport closes by itself for nothing else. */
function tooLarge(): UserError {
  const most = `${longestMessage / 2 ** 20} MiB`
  return new UserError(`a message of the client has more than ${most}: the server ends`, "send smaller messages")
}

/** Knows which requests were not answered yet. */
class CountingTransport extends StdioServerTransport {
  private readonly open = new Set<string | number>()
  private whenAnswered: (() => void) | null = null

  /** Once it is connected. */
  count(): void {
    const { onmessage } = this
    this.onmessage = (message: JSONRPCMessage) => {
      if ("method" in message && "id" in message) this.open.add(message.id)
      // Whoever cancels a request gets no answer to it.
      if ("method" in message && message.method === "notifications/cancelled")
        this.ended(message.params?.requestId as string | number)
      onmessage?.(message)
    }
  }

  override async send(message: JSONRPCMessage): Promise<void> {
    await super.send(message)
    if (!("method" in message) && message.id !== undefined) this.ended(message.id)
  }

  /** Waits for a minute at most. */
  async answered(): Promise<void> {
    if (this.open.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, lastMilliseconds)
      this.whenAnswered = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  private ended(id: string | number): void {
    this.open.delete(id)
    if (this.open.size === 0) this.whenAnswered?.()
  }
}
