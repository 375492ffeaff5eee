/** The worker that computes on the processor. Only a worker loads ONNX Runtime. */
import * as ort from "onnxruntime-web/wasm"
import { serve } from "./serve.ts"

serve({ device: "wasm", ort })
