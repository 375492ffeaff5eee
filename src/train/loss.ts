/** Losses over a batch of pairs. N pairs, D embedDim; row i of the images belongs to row i of the texts. */
import * as torch from "../../torch/index.ts"

/** Rows of unit length; the norm is at least 1e-12, as in PyTorch's `normalize`. */
export function l2Normalize(features: torch.Tensor): torch.Tensor {
  return features.div(features.norm([-1], true).clamp(1e-12, null))
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
  const targets = torch.arange(0, image.shape[0]!, 1, { dtype: "int64", device: image.device })
  const perImage = torch.crossEntropy(logitsPerImage, targets)
  const perText = torch.crossEntropy(logitsPerImage.transpose(0, 1), targets)
  return perImage.add(perText).div(2)
}
