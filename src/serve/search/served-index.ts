/** An index as a server uses it: searches and thumbnails through bounded queues, to a process that is replaced. */
import { fileURLToPath } from "node:url"
import { assert, UserError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import type { EngineOptions } from "../engine/served-model.ts"
import { TaskQueue } from "../engine/task-queue.ts"
import { RequestError, requestError } from "../http/errors.ts"
import { FatalTask, LastingProcess } from "../processes/lasting.ts"
import type {
  IndexAnswer,
  IndexTask,
  PublicDescription,
  PublicPage,
  ServedIndexSettings,
  ThumbnailFile,
  VisitorQuery,
} from "./index-work.ts"

type Answer = Exclude<IndexAnswer, { kind: "refused" }>

/** At a time: one has the tower or the scanner, which use all threads, and the next is made ready. */
const slots = 2

export class ServedIndex implements AsyncDisposable {
  readonly process: LastingProcess<ServedIndexSettings, null, IndexTask, IndexAnswer>
  readonly searches: TaskQueue<IndexTask, Answer>
  readonly thumbnails: TaskQueue<IndexTask, Answer>
  /** Is told how long its process took for each answer. */
  onAnswer: (kind: IndexTask["kind"], seconds: number) => void = () => {}

  private constructor(settings: ServedIndexSettings, { mostWaiting, lifetime }: ServedIndexOptions) {
    const file = fileURLToPath(workerFile(import.meta.url, "index-process"))
    this.process = new LastingProcess({ file, settings }, lifetime)
    const queue = () =>
      new TaskQueue<IndexTask, Answer>({
        ...{ mostWaiting, batchSize: 1, slots },
        compute: async ([task], signal) => [await this.answer(task!, signal)],
      })
    this.searches = queue()
    this.thumbnails = queue()
  }

  /** Throws UserError where there is no index, or it cannot be read. */
  static async open(settings: ServedIndexSettings, options: ServedIndexOptions): Promise<ServedIndex> {
    const opened = new ServedIndex(settings, options)
    try {
      await opened.process.description()
      return opened
    } catch (error) {
      await opened[Symbol.asyncDispose]()
      throw error
    }
  }

  /** This and the others throw RequestError for what the index refuses, QueueFull, and the signal's reason. */
  async search(query: VisitorQuery, signal?: AbortSignal): Promise<PublicPage> {
    const [answer] = await this.searches.add([{ kind: "search", query }], "query", signal)
    assert(answer?.kind === "page", "a page for a query")
    return answer.page
  }

  async describe(signal?: AbortSignal): Promise<PublicDescription> {
    const [answer] = await this.searches.add([{ kind: "describe" }], "query", signal)
    assert(answer?.kind === "description", "a description")
    return answer.description
  }

  /** @param isKnown whether the client has it: then null says that it is still there */
  async thumbnail(id: string, side: number, isKnown: boolean, signal?: AbortSignal): Promise<ThumbnailFile | null> {
    const [answer] = await this.thumbnails.add([{ kind: "thumbnail", id, side, isKnown }], "query", signal)
    if (answer?.kind === "unchanged") return null
    assert(answer?.kind === "thumbnail", "a thumbnail")
    return answer
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]()
  }

  private async answer(task: IndexTask, signal: AbortSignal): Promise<Answer> {
    const began = performance.now()
    const answer = await this.asked(task, signal)
    this.onAnswer(task.kind, (performance.now() - began) / 1000)
    if (answer.kind !== "refused") return answer
    const { kind, message, parameter } = answer.refusal
    throw new RequestError(kind, message, parameter)
  }

  /** What becomes of the process itself: an index that is gone when it is opened again, a task that processes die of. */
  private async asked(task: IndexTask, signal: AbortSignal): Promise<IndexAnswer> {
    try {
      return await this.process.ask(task, signal)
    } catch (error) {
      if (error instanceof FatalTask) throw requestError(error, parameterOf(task))
      if (!(error instanceof UserError)) throw error
      throw new RequestError("unavailable", "the index cannot be opened now; ask again")
    }
  }
}

/** What in a request makes it what it is. */
function parameterOf(task: IndexTask): string | null {
  if (task.kind === "search") return task.query.image ? "image" : "query"
  return task.kind === "thumbnail" ? "id" : null
}

export type ServedIndexOptions = Pick<EngineOptions, "mostWaiting" | "lifetime">
