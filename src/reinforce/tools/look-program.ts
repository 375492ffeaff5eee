/** The program of a process that looks at shards. */
import { openStorage } from "../../data/stores/open.ts"
import { serveShards } from "../pool/serve.ts"
import { lookOf } from "./looks.ts"
import type { LookSettings, ShardLook } from "./over-shards.ts"

serveShards<ShardLook, unknown>(async (given) => {
  const { look, settings } = given as LookSettings
  const storage = openStorage()
  return { identity: look, run: ({ shard }, { signal }) => lookOf(look).look(storage, shard, settings, { signal }) }
})
