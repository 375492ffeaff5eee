/** What an export is compared with where libtorch is: the model as it was trained, before fusing. */
import { version } from "../../torch/index.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import type { CheckpointModel } from "../model/checkpoint/checkpoint.ts"
import { TorchInterpreter } from "../tensor/torch.ts"
import { TorchEncoder } from "../tensor/torch-encoder.ts"
import type { Reference } from "./verify.ts"

export function torchReference(model: CheckpointModel, preprocessing: Preprocessing): Reference {
  return {
    name: `libtorch ${version()}`,
    async embed({ tower, data, shape }) {
      const encoder = new TorchEncoder(model, new TorchInterpreter(model), { preprocessing })
      try {
        return tower === "image" ? encoder.encodePixels(data, shape[0]!) : encoder.encodeTokens(data, shape[0]!)
      } finally {
        encoder.free()
      }
    },
  }
}
