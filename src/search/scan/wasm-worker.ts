/** A thread that searches with WebAssembly (`wasm-scanner.ts`). */
import { serveThread } from "../../host/thread-pool.ts"
import { type RowWork, WasmRows, type WasmRowsSettings } from "./wasm-rows.ts"

serveThread(({ path, layout }: WasmRowsSettings) => {
  const rows = new WasmRows(path, layout)
  return {
    answer: async (work: RowWork) => rows.answer(work),
    [Symbol.dispose]: () => rows[Symbol.dispose](),
  }
})
