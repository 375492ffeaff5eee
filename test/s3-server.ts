/** An S3 server on the loopback address for tests, with addresses at which it is slow or knows nobody any more. */
import { mkdirSync } from "node:fs"
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

// No types come with it.
const { default: S3rver } = (await import("s3rver" as string)) as {
  default: new (options: object) => { run(): Promise<AddressInfo>; close(): Promise<void> }
}

/** The one account of the server. */
export const credentials = { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" }

interface DoorOptions {
  /** Before each answer. */
  readonly delaySeconds?: number
  /** Requests, by their path, that are answered as by Amazon's when a session's credentials have expired. */
  readonly expired?: (path: string) => boolean
}

export class S3Server implements AsyncDisposable {
  private readonly doors: Server[] = []

  private constructor(
    private readonly server: InstanceType<typeof S3rver>,
    private readonly port: number,
  ) {}

  /** @param folder for the objects */
  static async start(folder: string, bucket: string): Promise<S3Server> {
    const directory = join(folder, "objects")
    mkdirSync(directory, { recursive: true })
    const options = { port: 0, address: "127.0.0.1", silent: true, directory, configureBuckets: [{ name: bucket }] }
    const server = new S3rver(options)
    return new S3Server(server, (await server.run()).port)
  }

  /** An address for AWS_ENDPOINT_URL. */
  async door(options: DoorOptions = {}): Promise<string> {
    const door = createServer((incoming, outgoing) => void this.pass(incoming, outgoing, options))
    await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve))
    this.doors.push(door)
    return `http://127.0.0.1:${(door.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const door of this.doors) {
      door.closeAllConnections()
      await new Promise((resolve) => door.close(resolve))
    }
    await this.server.close()
  }

  private async pass(incoming: IncomingMessage, outgoing: ServerResponse, { delaySeconds = 0, expired }: DoorOptions) {
    await sleep(1000 * delaySeconds)
    const { method, url, headers } = incoming
    if (expired?.(url!)) {
      incoming.resume()
      return void outgoing.writeHead(400, { "Content-Type": "application/xml" }).end(expiredToken)
    }
    const passed = request({ port: this.port, host: "127.0.0.1", method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(outgoing)
    })
    // Whoever was killed in the middle of a request hears nothing of it.
    passed.on("error", () => outgoing.destroy())
    incoming.on("error", () => passed.destroy())
    incoming.pipe(passed)
  }
}

const expiredToken =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>'
