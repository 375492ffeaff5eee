import { existsSync } from "node:fs"
import { availableParallelism, tmpdir, totalmem } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/**
 * What takes more than three seconds of a processor, or waits longer, longest first: begun in this order, so that none is
 * left for the end.
 */
const slow = [
  "test/bundlers/bundlers",
  "src/browser/clip",
  "test/conformance/towers",
  "src/cli/commands/train",
  "test/growth",
  "test/golden",
  "test/resume",
  "test/readme",
  "test/package",
  "test/reinforce-chain",
  "test/sigkill",
  "src/search/indexing/changes",
  "src/search/indexing/encode-once",
  "src/search/indexing/excluded",
  "src/search/indexing/interrupted",
  "src/search/migrate/migrate-index",
  "src/search/upkeep/upkeep",
  "src/cli/commands/search",
  "src/cli/commands/doctor",
  "src/cli/pictures-alone",
  "src/cli/standard-output",
  "src/experiments/quickstart/pipeline",
  "src/serve/faults",
  "src/serve/http/broken-requests",
  "src/serve/http/hostile",
  "torch/allocator",
  "src/serve/memory",
  "src/finetune/finetune",
  "src/benchmark/latency/bench",
  "src/experiments/cifar10/pipeline",
  "test/bench-run",
  "test/cuda-proof",
  "src/cli/picture-commands",
  "src/cli/search/index-migrate",
  "src/cli/commands/embed",
  "src/cli/bad-input",
  "src/embed/embed",
  "src/search/exchange/import/import-index",
  "src/search/lance/lance",
  "src/search/leaks",
  "src/search/scan/cut-while-searched",
  "test/hostile-chain",
  "src/data/reinforced/hostile",
  "src/cli/reinforce/models",
  "src/teachers/layouts",
  "test/examples",
  "src/run/caption/reference",
  "src/train/distributed/process-group",
  "test/fuzz-readers",
  "src/train/distributed/step",
  "test/anatomy",
  "src/train/distributed/launch",
  "src/train/train",
  "src/data/training/training-data",
  "src/data/training/order/permutation",
  "src/data/stores/s3",
  "src/cli/commands/train-augment",
  "src/cli/interrupt",
  "src/cli/evaluate/suite",
  "src/cli/any-model",
  "src/browser/pictures/decode",
  "test/examples-page",
  "test/app/app",
  "test/app/changes",
  "src/reinforce/local/reinforce-shard",
  "src/reinforce/tools/verify/verify",
  "src/cli/reinforce/run-verify",
  "src/cli/reinforce/run-stats",
  "src/data/stores/http",
  "src/train/plan/memory",
  "src/cli/commands/convert",
  "src/cli/commands/bench",
  "src/run/caption/caption",
  "src/teachers/captioners",
  "src/teachers/teachers",
  "src/model/checkpoint/detect",
  "test/browser-weights",
  "src/browser/weights/sources",
  "src/host/locks/lock",
  "src/export/export",
  "src/core/image/resize",
  "src/data/augment/pool",
  "src/hub/lying-hub",
  "src/run/caption/captioner",
  "src/weights/leaks",
  "src/run/text-exactness",
  "src/weights/clip-node",
  "test/adapters",
  "src/teachers/torch-captioner",
  "src/data/training/sources/lists/indexed-list",
  "src/data/training/sources/csv",
  "src/data/training/sources/index-lists",
  "src/data/reinforced/tar/tar-walk",
  "src/data/sample-index/shard-table",
  "src/vector-cache/label-table",
  "src/reinforce/distributed/distributed",
  "src/reinforce/distributed/faults",
  "src/train/distributed/sync-batch-norm",
  "src/reinforce/pool/process-pool",
  "src/serve/processes/lasting",
  "test/simulate-cluster",
  "test/build",
  "scan/index",
  "src/search/scan/scanner",
  "src/search/scan/near-pairs",
  "src/search/scan/codes",
  "src/search/query/followed-index",
  // Their mocks of modules need processes of their own.
  "src/data/sample-index/index-shards",
  "src/native/own-cache",
  "src/search/indexing/unread",
  "src/search/store/disk-order",
].map((name) => `${name}.test.ts`)

const gone = slow.filter((file) => !existsSync(file))
if (gone.length > 0) throw new Error(`vitest.config.ts names tests that are not there: ${gone.join(", ")}`)

class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const found = slow.findIndex((name) => moduleId.endsWith(name))
      return found < 0 ? slow.length : found
    }
    return files.toSorted((a, b) => place(a) - place(b) || a.moduleId.localeCompare(b.moduleId))
  }
}

/** What tests keep is not in the user's cache. */
const environment = { OMP_NUM_THREADS: "1", XDG_CACHE_HOME: join(tmpdir(), "mobileclip-tests") }

// Forks, not threads: libtorch keeps process-wide state (generators, thread pools). One OpenMP thread each, because two
// processes that both spin on two cores make each other many times slower. One process more than there are cores, because
// some wait for others; none begins with less than 3 GB of memory.
const common = {
  ...{ pool: "forks", env: environment, testTimeout: 120_000, hookTimeout: 120_000 },
  // `expect.poll` would give up after a second, which a busy machine takes for anything.
  expect: { poll: { timeout: 60_000 } },
  // The page imports the library as users do.
  alias: { "mobileclip/browser": fileURLToPath(new URL("src/browser/index.ts", import.meta.url)) },
} as const
const maxWorkers = Math.max(2, Math.min(availableParallelism() + 1, Math.floor(totalmem() / 3e9)))

export default defineConfig({
  test: {
    maxWorkers,
    sequence: { sequencer: SlowFirst },
    projects: [
      { test: { ...common, name: "slow", include: slow } },
      {
        test: {
          ...common,
          name: "fast",
          // Starting a process for each file would take as long as the tests.
          isolate: false,
          include: [
            "src/**/*.test.ts",
            "app/src/**/*.test.ts",
            "torch/**/*.test.ts",
            "jpeg/**/*.test.ts",
            "scan/**/*.test.ts",
            "test/**/*.test.ts",
          ],
          exclude: [...slow, "**/build/**"],
        },
      },
    ],
  },
})
