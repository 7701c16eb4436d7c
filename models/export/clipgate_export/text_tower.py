"""pocket's text tower: CLIP's BPE ids to CLIP ViT-B/32's text space, small enough to lie in a program.

Almost all of CLIP's 49,408 tokens never occur in the names it learns from; their rows of the embedding
table stay exactly zero, so that the table compresses and an unknown piece says nothing rather than
something random. The table is factorised (Lan et al. 2020, arXiv 1909.11942).
"""

import torch
from torch import Tensor, nn

from .tower import TransformerBlock

VOCABULARY = 49408
END_OF_TEXT = 49407
PADDING = 0
CONTEXT_LENGTH = 77
TOKEN_WIDTH = 48
WIDTH = 192
HEADS = 4
EMBEDDING_DIM = 512
MASKED = -20.0


class TextTower(nn.Module):
    """input_ids i64 [N, T], T <= 77, to text_embeds f32 [N, 512], not normalised.

    What stands after the first end-of-text id is padding and has no influence, whatever its ids are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, TOKEN_WIDTH)
        nn.init.zeros_(self.tokens.weight)
        self.widen = nn.Linear(TOKEN_WIDTH, WIDTH)
        self.positions = nn.Parameter(torch.randn(CONTEXT_LENGTH, WIDTH) * 0.02)
        self.block = TransformerBlock(WIDTH, HEADS)
        self.final_norm = nn.LayerNorm(WIDTH)
        self.projection = nn.Linear(WIDTH, EMBEDDING_DIM)

    def forward(self, input_ids: Tensor) -> Tensor:
        length = input_ids.shape[1]
        # The end-of-text id is the largest of the vocabulary, so that its first place is the arg max.
        end = input_ids.argmax(1, keepdim=True)
        used = (torch.arange(length, device=input_ids.device)[None] <= end).float()
        x = self.widen(self.tokens(input_ids)) + self.positions[:length]
        x = self.block(x, (MASKED * (1 - used))[:, None, None, :])
        share = used / used.sum(1, keepdim=True)
        pooled = (share[:, None, :] @ self.final_norm(x)).squeeze(1)
        return self.projection(pooled)
