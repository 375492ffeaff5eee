/** mobileclip serve */
import { inspect } from "node:util"
import { type Command, Option } from "commander"
import { oneLine, UserError } from "../../core/errors.ts"
import type { PictureReading } from "../../pictures/reading.ts"
import { engineDefaults, limitDefaults, serveDefaults } from "../../serve/defaults.ts"
import type { RequestRecord } from "../../serve/http/metrics.ts"
import type { CommandContext } from "../context.ts"
import { number, repeated, threadsOption, wholeNumber } from "../options.ts"
import { decodeOption, orientationOption } from "../picture-options.ts"

interface Options extends PictureReading {
  readonly model: readonly string[]
  readonly index?: string
  readonly host: string
  readonly port: number
  readonly tokenFile?: string
  readonly open?: true
  readonly cors?: readonly string[]
  readonly allowUrls?: true
  readonly app: boolean
  readonly threads?: number
  readonly maxBatch: number
  readonly maxDelay: number
  readonly maxWaiting: number
  readonly idleTtl?: number
  readonly cacheMb: number
  readonly bodyMb: number
  readonly maxPixels: number
  readonly timeout: number
  readonly log: (typeof logs)[number]
}

const cacheMbDefault = engineDefaults.cacheBytes / 2 ** 20

const logs = ["lines", "json", "none"] as const

const more = `
Examples:
  mobileclip serve --model models/s0                                  http://127.0.0.1:8000/v1/embeddings
  mobileclip serve --model small=models/s0 --model models/s2 --idle-ttl 600
  mobileclip serve --model models/s2 --index photos.index                /v1/search, /v1/search/index, thumbnails
  mobileclip serve --model models/s2 --host 0.0.0.0 --token-file tokens.txt
  mobileclip serve --model ViT-B-32__openai=models/b --host 0.0.0.0 --open      for Immich (IMMICH_MACHINE_LEARNING_URL)
  curl http://127.0.0.1:8000/v1/embeddings -H 'Content-Type: application/json' -d '{"input": "a photo of a cat"}'

A browser finds a page at /, which computes in the browser with the same models. The server answers as OpenAI (/v1/embeddings,
/v1/models), Cohere (/v2/embed), Ollama (/api/embed, /api/embeddings), Weaviate's multi2vec-clip (/vectorize) and Immich's
machine learning (/predict); its own: /v1/classify, /v1/caption, /v1/search (with --index), /health, /ready,
/metrics, /openapi.json. Pictures are data URIs or base64, and addresses with --allow-urls. Ctrl-C and SIGTERM answer what was
asked, and end with exit code 0.
`

export function register(program: Command, context: CommandContext): void {
  program
    .command("serve")
    .description("answer other programs with vectors of texts and pictures")
    .requiredOption("--model <model>", "whatever `classify` takes, or NAME=MODEL; may be given again", repeated)
    .option("--index <dir>", "an index of pictures that /v1/search looks through, by the index's own model")
    .option("--host <address>", "where to listen; 0.0.0.0: to others, too", serveDefaults.host)
    .option("--port <n>", "0: any that is free", wholeNumber(0, 65535), serveDefaults.port)
    .option("--token-file <file>", "tokens to be brought, one a line; # begins a line of comment (or MOBILECLIP_TOKEN)")
    .option("--open", "let others than this machine ask without a token")
    .option("--cors <origin>", "a web page's origin that may ask; * is any; may be given again", repeated)
    .option("--allow-urls", "fetch pictures from addresses of the public internet")
    .option("--no-app", "leave out the page for people at /, with the files of models that it opens")
    .addOption(threadsOption("of a model (default: all)"))
    .option("--max-batch <n>", "texts that are computed at once", wholeNumber(1, 1024), engineDefaults.textBatch)
    .option("--max-delay <ms>", "how long an idle model waits for more texts", number(0, 1000), engineDefaults.maxDelay)
    .option("--max-waiting <n>", "texts, and pictures, that may wait", wholeNumber(1), engineDefaults.mostWaiting)
    .option("--idle-ttl <s>", "put a model away when nobody asked for so long (default: never)", number(1, 2e6))
    .option("--cache-mb <n>", "vectors of what was asked before, per model", wholeNumber(0), cacheMbDefault)
    .option("--body-mb <n>", "size of a request", wholeNumber(1, 2048), limitDefaults.bodyBytes / 2 ** 20)
    .option("--max-pixels <n>", "refuse larger pictures", wholeNumber(1), limitDefaults.pixels)
    .option("--timeout <s>", "time of a request", number(1, 3600), limitDefaults.seconds)
    .addOption(orientationOption())
    .addOption(decodeOption())
    .addOption(new Option("--log <form>", "of requests, without their content").choices(logs).default("lines"))
    .addHelpText("after", more)
    .action((options: Options, command: Command) => run(options, command, context))
}

async function run(options: Options, command: Command, context: CommandContext): Promise<void> {
  const { runServer } = await import("../../serve/run-server.ts")
  const { writeErr } = command.configureOutput()
  const say = (line: string) => writeErr?.(`${line}\n`)
  const { model, cors, maxBatch, maxDelay, maxWaiting, idleTtl, cacheMb, bodyMb, maxPixels, timeout, log } = options
  await runServer(model, {
    ...options,
    corsOrigins: cors,
    limits: { bodyBytes: bodyMb * 2 ** 20, pixels: maxPixels, seconds: timeout },
    engine: {
      ...{ textBatch: maxBatch, maxDelay, mostWaiting: maxWaiting, cacheBytes: cacheMb * 2 ** 20 },
      idleSeconds: idleTtl ?? null,
    },
    signal: context.abortOnInterrupt("answering what was asked, then stopping", undefined, "serving"),
    onListening: (url, names) => say(`${names.join(", ")}: ${url}`),
    ...(log !== "none" && { onRequest: (record) => say(logLine(record, log)) }),
    onFault: (error) => say(faultLine(error, log)),
  })
}

/** With a fault's stack: in JSON it is a line, too. */
function faultLine(error: unknown, form: Options["log"]): string {
  const fault = error instanceof UserError ? oneLine(error.message, 1000) : inspect(error)
  return form === "json" ? JSON.stringify({ time: new Date().toISOString(), fault }) : fault
}

function logLine(record: RequestRecord, form: Exclude<Options["log"], "none">): string {
  const { method, route, status, milliseconds } = record
  const time = new Date().toISOString()
  if (form === "json") return JSON.stringify({ time, ...record })
  return `${time} ${method ?? "-"} ${route} ${status} ${milliseconds.toFixed(1)} ms`
}
