/** The server on standard input and output, until its client goes. */
import { Writable } from "node:stream"
import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"

/** Bytes of one message: a line without an end must not fill the memory. */
const longestMessage = 16 * 2 ** 20

/**
 * Serves until standard input ends, the client closes, or `signal` aborts. Standard output carries the protocol alone: whatever
 * else is printed meanwhile, by a library too, goes to standard error.
 */
export async function serveStdio(server: McpServer, signal?: AbortSignal): Promise<void> {
  const { stdin, stdout } = process
  const write = stdout.write
  const protocol = new Writable({
    write: (chunk, _encoding, done) => {
      write.call(stdout, chunk, undefined, done)
    },
  })
  // The client has gone: standard input ends then, too.
  protocol.on("error", () => {})
  stdout.write = process.stderr.write.bind(process.stderr) as typeof stdout.write
  try {
    const closed = new Promise<void>((resolve) => {
      server.server.onclose = resolve
      stdin.once("end", resolve)
      stdin.once("close", resolve)
      signal?.addEventListener("abort", () => resolve(), { once: true })
    })
    await server.connect(new StdioServerTransport(stdin, protocol, { maxBufferSize: longestMessage }))
    if (!signal?.aborted) await closed
    await server.close()
  } finally {
    stdout.write = write
    stdin.unref?.()
  }
}
