/** Losses over a batch of pairs. N pairs, D embedDim; row i of the images belongs to row i of the texts. */
import * as torch from "../../torch/index.ts"

/** Rows of unit length; the norm is at least 1e-12, as in PyTorch's `normalize`. */
export function l2Normalize(features: torch.Tensor): torch.Tensor {
  return features.div(features.norm([-1], true).clampMin(1e-12))
}

/**
 * CLIP's contrastive loss: the mean of the cross entropies image -> text and text -> image.
 *
 * @param image [N, D], unit rows
 * @param text [N, D], unit rows
 * @param scale the factor on cosine similarities, exp of the learned `logitScale`; shape []
 * @returns shape []
 */
export function clipLoss(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor): torch.Tensor {
  const logitsPerImage = image.matmul(text.transpose(0, 1)).mul(scale)
  const targets = torch.arange(image.shape[0]!, { dtype: "int64", device: image.device })
  const perImage = logitsPerImage.crossEntropy(targets)
  const perText = logitsPerImage.transpose(0, 1).crossEntropy(targets)
  return perImage.add(perText).div(2)
}
