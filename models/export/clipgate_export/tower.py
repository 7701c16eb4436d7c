"""pocket's image tower: a residual convolution stem and two transformer blocks, made to quantise well.

ReLU and BatchNorm (folded at export) keep the stem's ranges tame, GELU is one operator, every shape is
fixed, and no position embedding is needed because the stem's zero padding already tells where a token
lies; so the tower also trains at smaller resolutions.
"""

from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 64, 128, 256)
TRANSFORMER_BLOCKS = 2
HEADS = 4
EMBEDDING_DIM = 512


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016, arXiv 1512.03385), stride on the first."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.shortcut(x))


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP (Dosovitskiy et al. 2021, arXiv 2010.11929), tokens [N, T, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, 3 * width)
        self.mlp_out = nn.Linear(3 * width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        n, tokens, width = x.shape
        y = self.attention_norm(x)

        def split(projection: nn.Linear) -> Tensor:
            return projection(y).reshape(n, tokens, self.heads, width // self.heads).transpose(1, 2)

        query, key, value = split(self.query), split(self.key), split(self.value)
        weights = query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5
        if mask is not None:
            weights = weights + mask
        mixed = (weights.softmax(-1) @ value).transpose(1, 2).reshape(n, tokens, width)
        x = x + self.attention_out(mixed)
        return x + self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x))))


class ImageTower(nn.Module):
    """pixel_values [N, 3, H, W] to image_embeds [N, 512], not normalised; H and W multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.patch = nn.Conv2d(3, a, 4, 2, 1, bias=False)
        self.patch_norm = nn.BatchNorm2d(a)
        self.stages = nn.Sequential(
            ResidualBlock(a, b, 1),
            ResidualBlock(b, c, 2),
            ResidualBlock(c, c, 1),
            ResidualBlock(c, d, 2),
            ResidualBlock(d, d, 1),
        )
        self.blocks = nn.ModuleList(TransformerBlock(d, HEADS) for _ in range(TRANSFORMER_BLOCKS))
        self.final_norm = nn.LayerNorm(d)
        self.projection = nn.Linear(d, EMBEDDING_DIM, bias=False)

    def forward(self, pixel_values: Tensor) -> Tensor:
        x = F.relu(self.patch_norm(self.patch(pixel_values)))
        x = self.stages(x)
        x = x.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.projection(self.final_norm(x).mean(1))
