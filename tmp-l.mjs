import * as lancedb from "@lancedb/lancedb"
import { createRequire } from "node:module"
const arrow = createRequire(import.meta.url)("apache-arrow")
import { rmSync } from "node:fs"
import { float32ToFloat16 } from "./dist/src/core/arrays/half.js"
rmSync("/tmp/exchange-lance", {recursive:true, force:true})
const db = await lancedb.connect("/tmp/exchange-lance")
const dim=64, N=20000
const v = new Float32Array(N*dim).map(()=>Math.random()-.5)
for (let r=0;r<N;r++){ let s=0; for(let d=0;d<dim;d++) s+=v[r*dim+d]**2; for(let d=0;d<dim;d++) v[r*dim+d]/=Math.sqrt(s)}
const bits = float32ToFloat16(v)
const item = new arrow.Field("item", new arrow.Float16(), true)
const type = new arrow.FixedSizeList(dim, item)
const child = arrow.makeData({ type: new arrow.Float16(), length: N*dim, nullCount: 0, data: bits })
const vec = arrow.makeData({ type, length: N, nullCount: 0, child })
const pos = arrow.makeData({ type: new arrow.Uint32(), length: N, nullCount:0, data: Uint32Array.from({length:N},(_,i)=>i) })
const schema = new arrow.Schema([new arrow.Field("position", new arrow.Uint32(), false), new arrow.Field("vector", type, true)])
const batch = new arrow.RecordBatch(schema, arrow.makeData({ type: new arrow.Struct(schema.fields), length: N, nullCount:0, children:[pos, vec] }))
const t = await db.createEmptyTable("vectors_1", schema)
await t.add(new arrow.Table(schema, [batch]))
console.log(await t.countRows(), String(await t.schema()))
for (let i=0;i<3;i++){ const t0=performance.now()
const q = t.vectorSearch(v.slice(0,dim)).distanceType("dot").select(["position","_distance","vector"]).limit(5)
const a = await q.toArrow(); console.log((performance.now()-t0)|0,"ms", a.getChild("position").toArray(), a.getChild("_distance").toArray(), a.getChild("vector").get(0).toArray().constructor.name) }
const r = await t.query().where("position IN (5,7,19999)").select(["position","vector"]).toArrow()
console.log(r.numRows, r.getChild("vector").get(0).toArray().slice(0,3), v.slice(5*dim,5*dim+3), r.batches.length)
