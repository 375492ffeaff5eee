/** The worker that computes on the graphics processor. Only a worker loads ONNX Runtime. */
import * as ort from "onnxruntime-web/webgpu"
import { serve } from "./serve.ts"

serve({ device: "webgpu", ort })
